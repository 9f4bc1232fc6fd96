"""Roll back to the previous release: `uv run poe rollback [ENVIRONMENT] [--from RELEASE] [--reason TEXT]`.

If a canary or a shadow is running, only those end. A rollback needs only the state of the environment: no
registry, no model, no network.

Several people may roll back at the same moment because of the same alert, and together go back once:
right after a rollback, the next one has to name the release that it rolls back from.
"""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from rung_ops.command import Verb, verb
from rung_ops.errors import OpsError
from rung_ops.project import keyless, paths
from rung_ops.release import state
from rung_ops.release.history import State, UncertainChangeError

NOTIFY = "rung_ops.project.hooks:notify"
RECENT = 60.0  # seconds for which a rollback without --from counts as the same as the last one


def roll_back(
    folder: Path, by: str, reason: str, source: str | None = None, before: State | None = None
) -> str:
    """Roll an environment back; return the result as a sentence.

    Args:
        folder: of the environment.
        by: the person who rolls back.
        reason: recorded in the history.
        source: the release to roll back from; needed right after another rollback.
        before: the state that the decision is based on; by default the current one.
    """
    before = before or state.read(folder)
    current, last = state.state_store(folder).latest()
    # One that was changed meanwhile is refused under the lock.
    if source is None and current == before and (before.on_trial or before.previous):
        _refuse_again(folder, before, last)
    if not before.on_trial and before.previous:
        path = paths.bundle(folder, before.previous[0])
        if not (path / "manifest.json").is_file():
            raise state.ChangeRefusedError(
                f"The bundle of {before.previous[0]} is missing from {path.parent}: "
                f"`uv run poe deploy {folder.name} {before.previous[0]} --at-once` restores it."
            )
    now = state.roll_back(folder, by, reason, expected=before.generation, source=source)
    if not before.on_trial:
        return f"{folder.name} serves {now.serving} again instead of {before.serving}."
    roles = (("canary", before.canary), ("shadow", before.shadow))
    result = [f"The {role} {trial.release} has ended." for role, trial in roles if trial]
    result.append(f"{folder.name} still serves {now.serving}.")
    if now.previous:
        again = f"uv run poe rollback {folder.name} --from {now.serving}"
        result.append(f"Run `{again}` to go back to {now.previous[0]}.")
    return " ".join(result)


def _refuse_again(folder: Path, before: State, last: dict[str, Any] | None) -> None:
    if last is None or last["event"] != "roll_back":
        return
    try:
        age = (datetime.now(UTC) - datetime.fromisoformat(last["at"])).total_seconds()
    except (TypeError, ValueError):  # written by hand
        return
    if age < RECENT:
        left = (*before.on_trial, before.serving)[0]
        raise state.ChangeRefusedError(
            f"{last['by']} rolled back from {last['detail'].get('release')} {max(age, 0):.0f} s ago. "
            f"If {left} is to go as well: `uv run poe rollback {folder.name} --from {left}`."
        )


def rollback_verb(act: Callable[[Path, str, str, str | None], str]) -> Verb:
    """Make the verb `poe rollback`; `act` performs the rollback, with the signature of roll_back()."""

    @verb("poe rollback")
    @click.argument(
        "environment",
        type=click.Choice(paths.ENVIRONMENTS),
        default=paths.PRODUCTION,
    )
    @click.option(
        "--from",
        "source",
        metavar="RELEASE",
        help="the release to roll back from, needed right after another rollback; refused if it is "
        "neither served nor on trial any more",
    )
    @click.option("--reason", default="", help="recorded in the history")
    def run(environment: str, source: str | None, reason: str) -> int:
        """Roll back to the previous release; where a canary or a shadow is running, only end those."""
        folder, by = paths.environment(environment), paths.person()
        try:
            print(happened := act(folder, by, reason, source))
        except UncertainChangeError:
            raise
        except (OpsError, OSError) as error:
            raise OpsError(f"Nothing was changed in {environment}: {error}") from error
        # The autopilot notifies itself of what it does.
        if environment == paths.PRODUCTION and by != paths.AUTOPILOT:
            message = f"{happened} {by}: {reason or 'no reason given'}."
            try:
                keyless.guarded(NOTIFY, "production was rolled back", message)
            except OpsError as error:  # the rollback has happened whatever becomes of this
                print(f"No notification was sent: {error}", file=sys.stderr)
        print("A running service follows within a second; `uv run poe releases` shows the state.")
        return 0

    return run


main = rollback_verb(roll_back)
