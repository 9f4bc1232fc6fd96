"""Roll back to the previous release: `uv run poe rollback [ENVIRONMENT] [--reason TEXT]`.

If a canary or a shadow is running, only those end; otherwise the previous release is served again. A
rollback needs only the state of the environment: no registry, no model, no network.
"""

from collections.abc import Callable
from pathlib import Path

import click

from rung_ops.command import Verb, verb
from rung_ops.errors import OpsError
from rung_ops.project import release_folders
from rung_ops.release import state
from rung_ops.release.state import State


def roll_back(folder: Path, by: str, reason: str, before: State | None = None) -> str:
    """Roll an environment back; return the result as a sentence.

    Args:
        folder: of the environment.
        by: the person who rolls back.
        reason: recorded in the history.
        before: the state that the decision is based on; by default the current one.

    Raises:
        state.ChangeRefusedError: there is no previous release, or the state was changed in the meantime.
    """
    before = before or state.read(folder)
    if not before.on_trial and before.previous:
        path = release_folders.bundle(folder, before.previous[0])
        if not (path / "manifest.json").is_file():
            raise state.ChangeRefusedError(
                f"The bundle of {before.previous[0]} is missing from {path.parent}: "
                f"`uv run poe deploy {folder.name} {before.previous[0]} --at-once` restores it."
            )
    now = state.roll_back(folder, by, reason, expected=before.generation)
    if before.on_trial:
        return f"{_trial_ended(before)} {_still_serves(now, folder.name)}"
    return f"{folder.name} serves {now.serving} again instead of {before.serving}."


def _trial_ended(before: State) -> str:
    ended = []
    if before.canary:
        ended.append(f"The canary {before.canary.release} has ended.")
    if before.shadow:
        ended.append(f"The shadow {before.shadow.release} has ended.")
    return " ".join(ended)


def _still_serves(now: State, environment: str) -> str:
    serves = f"{environment} still serves {now.serving}."
    if not now.previous:
        return serves
    return f"{serves} Run `poe rollback` again to go back to {now.previous[0]}."


def rollback_verb(act: Callable[[Path, str, str], str]) -> Verb:
    """Make the verb `poe rollback`; `act` performs the rollback, with the signature of roll_back()."""

    @verb("poe rollback")
    @click.argument(
        "environment",
        type=click.Choice(release_folders.ENVIRONMENTS),
        default=release_folders.PRODUCTION,
    )
    @click.option("--reason", default="", help="recorded in the history")
    def run(environment: str, reason: str) -> int:
        """Roll back to the previous release; where a canary or a shadow is running, only end those."""
        folder = release_folders.environment(environment)
        try:
            print(act(folder, release_folders.person(), reason))
        except (OpsError, OSError) as error:
            raise OpsError(f"Nothing was changed in {environment}: {error}") from error
        print("A running service follows within a second; `uv run poe releases` shows the state.")
        return 0

    return run


main = rollback_verb(roll_back)
