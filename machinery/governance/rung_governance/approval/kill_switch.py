"""The kill switch: `poe stop` and `poe resume`, each with `--by NAME --reason WHY`.

While the model is off, the service refuses every prediction, also after a restart.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import click

from rung_governance.approval import audit, signed_log
from rung_governance.approval.overrides import IncompleteError, complete
from rung_ops.command import Verb, verb
from rung_ops.project import release_folders
from rung_ops.release import state
from rung_ops.system import locks

FIELDS = ("by", "reason")


def switch_off(folder: Path, by: str, reason: str) -> list[str]:
    """Refuse every prediction of an environment from now on.

    Returns:
        Why the audit log could not be signed; empty when it was. The stop holds in any case.

    Raises:
        OSError, locks.LockTimeoutError, state.StateError: it could not be written.
    """
    try:
        state.read(folder)
    except state.StateError:
        signed_log.restore(folder)  # an edited file must not keep anybody from stopping
    with audit.signed(folder) as problems:
        state.stop(folder, by, reason)
    return problems


def switch_on(folder: Path, by: str, reason: str) -> list[str]:
    """Predict again; returns and raises as switch_off().

    Raises:
        audit.UnsignedLogError: the log could not be signed, so that no service would follow it.
        state.ChangeRefusedError: the environment is not stopped.
    """
    if not state.read(folder).stopped:
        raise state.ChangeRefusedError(f"{folder.name} is not stopped.")
    if folder.name == release_folders.PRODUCTION:
        audit.require_signature(folder)
    with audit.signed(folder) as problems:
        state.note(folder, "resuming", by, reason=reason)
        state.resume(folder, by)
    return problems


def _verb(name: str, act: Callable[[Path, str, str], list[str]], summary: str) -> Verb:
    @verb(f"poe {name}", help=summary)
    @click.argument(
        "environment",
        default=release_folders.PRODUCTION,
        type=click.Choice(release_folders.ENVIRONMENTS),
    )
    @click.option("--by", required=True, help="your name")
    @click.option("--reason", required=True, help="why, in a sentence")
    def run(environment: str, by: str, reason: str) -> int:
        return _switch(name, act, release_folders.environment(environment), by, reason)

    return run


stop = _verb("stop", switch_off, "Switch the model off, with a reason.")
resume = _verb("resume", switch_on, "Switch the model on again, with a reason.")


def _switch(
    name: str, act: Callable[[Path, str, str], list[str]], folder: Path, by: str, reason: str
) -> int:
    """Switch the model from the command line; return the exit code."""
    try:
        fields = complete({"by": by, "reason": reason}, FIELDS)
        problems = act(folder, fields["by"], fields["reason"])
    except (IncompleteError, state.ChangeRefusedError) as error:
        print(error, file=sys.stderr)
        return 1
    except (OSError, locks.LockTimeoutError, state.StateError) as error:
        print(f"`poe {name}` could not be done: {error}", file=sys.stderr)
        print("To stop the model anyway, end the process of the service.", file=sys.stderr)
        return 1
    for problem in problems:
        print(problem, file=sys.stderr)
    stopped = state.read(folder).stopped
    print(
        f"{folder.name} is stopped: every request is refused, with the reason, until "
        f"`uv run poe resume`. A running service notices within a second."
        if stopped
        else f"{folder.name} answers again."
    )
    _note_at_the_witness(folder)
    return 0


def _note_at_the_witness(folder: Path) -> None:
    """Note the line at the remote, so that old files that are put in its place are found."""
    from rung_governance.approval import (
        witness,  # reads the plan: more than a service has to import
    )

    try:
        problem = witness.note(folder, release_folders.person())
    except Exception as error:  # whatever a plan that was edited may raise: the stop holds
        problem = f"The audit log is not noted at the remote: {error}"
    if problem:
        print(problem, file=sys.stderr)
