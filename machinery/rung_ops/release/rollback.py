"""Put the previous release back: `uv run poe rollback [ENVIRONMENT] [--reason TEXT]`.

While a release is on trial, as canary or in the shadow, only that trial ends; else the release
before the present one answers again. It asks nothing but the state of the environment: no registry,
no model, no network.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from rung_ops.release import paths, state
from rung_ops.release.state import State
from rung_ops.system import locks


def roll_back(folder: Path, by: str, reason: str, before: State | None = None) -> str:
    """Roll an environment back; return what happened, as a sentence.

    Args:
        folder: the environment's.
        by: who wants it.
        reason: why; it goes into the history.
        before: the state that the caller decided on; read now unless given.

    Raises:
        state.Refused: there is nothing to go back to, or somebody else was faster.
    """
    before = before or state.read(folder)
    if not before.on_trial and before.previous:
        path = paths.bundle(folder, before.previous[0])
        if not (path / "manifest.json").is_file():
            raise state.Refused(
                f"The bundle of {before.previous[0]} is gone from {path.parent}: "
                f"`uv run poe deploy {folder.name} {before.previous[0]} --at-once` brings it back."
            )
    now = state.roll_back(folder, by, reason, expected=before.generation)
    if before.on_trial:
        return f"{_trial_ended(before)} {_still_answers(now, folder.name)}"
    return f"{now.serving} answers in {folder.name} again instead of {before.serving}."


def _trial_ended(before: State) -> str:
    ended = []
    if before.canary:
        ended.append(f"The canary {before.canary.release} has ended.")
    if before.shadow:
        ended.append(f"{before.shadow.release} is no longer in the shadow.")
    return " ".join(ended)


def _still_answers(now: State, environment: str) -> str:
    answers = f"{now.serving} answers everything in {environment}, as before."
    if not now.previous:
        return answers
    return f"{answers} Run `poe rollback` once more to go back to {now.previous[0]}."


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
