"""Put the previous release back: `uv run poe rollback [ENVIRONMENT] [--reason TEXT]`.

While a canary answers, it is the canary that ends; else the release before the present one
answers again. It asks nothing but the state of the environment: no registry, no model, no network.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from rung_ops.release import paths, state
from rung_ops.system import locks


def roll_back(folder: Path, by: str, reason: str) -> str:
    """Roll an environment back; return what happened, as a sentence.

    Raises:
        state.Refused: there is nothing to go back to, or somebody else was faster.
    """
    before = state.read(folder)
    if not before.canary and before.previous:
        path = paths.bundle(folder, before.previous[0])
        if not (path / "manifest.json").is_file():
            raise state.Refused(
                f"The bundle of {before.previous[0]} is gone from {path.parent}: "
                f"`uv run poe deploy {folder.name} {before.previous[0]} --at-once` brings it back."
            )
    now = state.roll_back(folder, by, reason, expected=before.generation)
    ended = f" {before.shadow.release} is no longer in the shadow." if before.shadow else ""
    if before.canary:
        return (
            f"The canary {before.canary.release} has ended; {now.serving} answers everything in "
            f"{folder.name}. Once more, and {now.serving} is taken back too.{ended}"
        )
    return f"{now.serving} answers in {folder.name} again instead of {before.serving}.{ended}"


def main(
    arguments: list[str] | None = None, act: Callable[[Path, str, str], str] = roll_back
) -> int:
    """Roll back; return the exit code.

    Args:
        arguments: of the command line.
        act: does it, as roll_back() does.
    """
    parser = argparse.ArgumentParser(prog="poe rollback", description=__doc__.splitlines()[0])
    parser.add_argument(
        "environment", nargs="?", default=paths.PRODUCTION, choices=paths.ENVIRONMENTS
    )
    parser.add_argument("--reason", default="", help="why; it goes into the history")
    options = parser.parse_args(arguments)
    folder = paths.environment(options.environment)
    try:
        print(act(folder, paths.person(), options.reason))
    except (state.Refused, state.BadState, locks.LockTimeoutError, OSError) as error:
        print(f"Nothing was changed in {options.environment}: {error}", file=sys.stderr)
        return 1
    print("A service that runs takes it up within a second; `uv run poe releases` shows it.")
    return 0
