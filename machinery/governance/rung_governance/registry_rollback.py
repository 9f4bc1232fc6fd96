"""Make the version champion that was champion before: `uv run poe rollback`."""

import argparse
import sys
from datetime import UTC, datetime

from mlflow.exceptions import MlflowException

from rung_governance import approval
from rung_governance.registry_promotion import champion, predecessors, remember
from rung_ops.tracking import registry
from rung_ops.tracking.registry import CHAMPION

# Tag of the version that was rolled back: when, and why.
ROLLED_BACK = "rolled_back"


class Refused(Exception):
    """There is nothing to go back to, or nothing that may answer; the message says why."""


def rollback(reason: str) -> tuple[str, str]:
    """Give the alias back to the version that had it before.

    Returns:
        The numbers of the version that was champion, and of the one that is.

    Raises:
        Refused: no version was champion before, or the one that was is no longer approved.
    """
    left = champion()
    if left is None:
        raise Refused(f"There is no {CHAMPION}: `uv run poe promote VERSION` makes the first one.")
    before = predecessors()
    if not before:
        raise Refused(f"Version {left} is the first {CHAMPION}: there is none to roll back to.")
    try:
        version = registry.version(before[-1])
    except MlflowException as error:
        raise Refused(f"Version {before[-1]}, the {CHAMPION} before, is gone: {error}") from error
    objections = approval.objections(version, answered=True)
    if objections:
        listed = "".join(f"\n- {objection}" for objection in objections)
        raise Refused(
            f"Version {version.version} was {CHAMPION} before, and may not be again:{listed}\n"
            "Another version that is approved: `uv run poe promote VERSION`."
        )
    store = registry.client()
    # The alias first: a process that is killed after it leaves a memory that is cleaned when read.
    store.set_registered_model_alias(version.name, CHAMPION, str(version.version))
    remember(before[:-1])
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    store.set_model_version_tag(version.name, left, ROLLED_BACK, f"{moment} {reason}".strip())
    return left, str(version.version)


def main(arguments: list[str] | None = None) -> int:
    """Go back, or say why not; return the exit code."""
    parser = argparse.ArgumentParser(prog="poe rollback", description=__doc__.splitlines()[0])
    parser.add_argument("--reason", default="", help="what was wrong")
    options = parser.parse_args(arguments)
    try:
        left, back = rollback(options.reason)
    except Refused as refused:
        print(refused, file=sys.stderr)
        return 1
    print(f"{registry.model_name()} {back} is {CHAMPION} again, {left} is not")
    return 0
