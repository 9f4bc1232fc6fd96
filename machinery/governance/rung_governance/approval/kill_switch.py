"""The kill switch: `poe stop` and `poe resume`, each with `--by NAME --reason WHY`.

While the model is off, the service refuses every prediction, also after a restart.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from rung_governance.approval import audit, signed_log
from rung_ops.command import Verb, verb
from rung_ops.model.rows import Refusal
from rung_ops.project import paths
from rung_ops.release import history, state

FIELDS = ("by", "reason")
# Characters: an override names a decision and says why; it must not become a file on a person.
MOST = {"id": 200, "decision": 200, "by": 200, "reason": 2_000}


def switch_off(folder: Path, by: str, reason: str) -> list[str]:
    """Refuse every prediction of an environment from now on; return why the log was not signed."""
    return write_stop(folder, by, reason)[1]


def write_stop(folder: Path, by: str, reason: str) -> tuple[str, list[str]]:
    """Do what switch_off() does; return the hash of the stop's line, too. The stop needs no key."""
    try:
        state.read(folder)
    except state.StateError:
        signed_log.restore(folder)  # an edited file must not keep anybody from stopping
    with audit.signed(folder) as problems:
        state.stop(folder, by, reason)
        line = (history.WRITTEN.get() or [""])[-1]
    return line, problems


def stopped_by(folder: Path) -> set[str]:
    """Name everybody who has stopped an environment since it was last resumed."""
    people = set[str]()
    for event in state.events(folder):
        if event["event"] == state.STOP:
            people.add(event["by"])
        elif event["event"] == state.RESUME:
            people.clear()
    return people


def switch_on(folder: Path, by: str, reason: str) -> list[str]:
    """Predict again; return why the log was not signed.

    Raises:
        audit.UnsignedLogError: the log could not be signed, so that no service would follow it.
        state.ChangeRefusedError: the environment is not stopped.
    """
    if not state.read(folder).stopped:
        raise state.ChangeRefusedError(f"{folder.name} is not stopped.")
    if folder.name == paths.PRODUCTION:
        audit.require_signature(folder)
    with audit.signed(folder) as problems:
        state.note(folder, "resuming", by, reason=reason)
        state.resume(folder, by)
    return problems


def complete(fields: Any, names: tuple[str, ...]) -> dict[str, str]:
    """Take the named texts out of a JSON object.

    Raises:
        Refusal: it is not an object, or a field is missing, empty, too long or unknown.
    """
    wanted = ", ".join(f"`{name}`" for name in names)
    if not isinstance(fields, dict):
        raise Refusal(422, f"Send a JSON object with {wanted}.")
    for name in names:
        value = fields.get(name)
        if value is not None and not isinstance(value, str):
            raise Refusal(422, f"`{name}` must be a text, in quotes, whatever the target is.")
        if value is None or not any(sign.isalnum() for sign in value):
            raise Refusal(422, f"`{name}` is missing or empty: send a JSON object with {wanted}.")
        if len(value) > MOST[name]:
            raise Refusal(
                422, f"`{name}` has {len(value):,} characters; at most {MOST[name]:,} fit."
            )
    if unknown := sorted(set(fields) - set(names)):
        raise Refusal(422, f"`{unknown[0]}` means nothing here: send {wanted}.")
    return {name: fields[name].strip() for name in names}


def _verb(name: str, act: Callable[..., list[str]], summary: str) -> Verb:
    @verb(f"poe {name}", help=summary)
    @audit.ENVIRONMENT
    @click.option("--by", required=True, help="your name")
    @click.option("--reason", required=True, help="why, in a sentence")
    def run(environment: str, by: str, reason: str) -> int:
        folder = paths.environment(environment)
        try:
            problems = act(folder, **complete({"by": by, "reason": reason}, FIELDS))
        except (Refusal, state.ChangeRefusedError) as error:
            print(error, file=sys.stderr)
            return 1
        except audit.UNWRITABLE as error:
            print(f"`poe {name}` could not be done: {error}", file=sys.stderr)
            print("To stop the model anyway, end the process of the service.", file=sys.stderr)
            return 1
        for problem in problems:
            print(problem, file=sys.stderr)
        print(
            f"{folder.name} is stopped: every request is refused, with the reason, until "
            f"`uv run poe resume`. A running service notices within a second."
            if state.read(folder).stopped
            else f"{folder.name} answers again."
        )
        _note_at_the_witness(folder)
        return 0

    return run


stop = _verb("stop", switch_off, "Switch the model off, with a reason.")
resume = _verb("resume", switch_on, "Switch the model on again, with a reason.")


def _note_at_the_witness(folder: Path) -> None:
    """Note the line at the remote, so that old files that are put in its place are found."""
    from rung_governance.approval import witness  # reads the plan, which no service imports

    try:
        problem = witness.note(folder, paths.person())
    except Exception as error:  # whatever a plan that was edited may raise: the stop holds
        problem = f"The audit log is not noted at the remote: {error}"
    if problem:
        print(problem, file=sys.stderr)
