"""The check that production serves what was approved, by the signed log and today's records.

`poe monitor` finds an edited state.json, a state written past `poe promote`, and an approval that has
expired or was withdrawn.
"""

from collections.abc import Iterator
from pathlib import Path

from rung_governance.approval import audit, gate_record, keys, signed_approval, validation
from rung_governance.approval.keys import AuditKeyError
from rung_governance.approval.signed_log import APPROVED, WITHDRAWN, details
from rung_ops.model.bundle import BundleError
from rung_ops.project import release_folders
from rung_ops.release import state


def problems(folder: Path, release: str) -> list[str]:
    """Say why a release should not answer in an environment; staging needs no approval."""
    if folder.name != release_folders.PRODUCTION:
        return []
    return [f"{release} answers unapproved: {each}" for each in _objections(folder, release)]


def _objections(folder: Path, release: str) -> Iterator[str]:
    try:
        signed = audit.verify(folder, keys.public_key()).anchored
        events = state.events(folder)[:signed]
    except (AuditKeyError, state.StateError) as error:
        yield str(error)
        return
    if not any(each.get("release") == release for each in details(events, APPROVED)):
        yield "no signed line of the audit log approves of it"
    try:
        yield from gate_record.lapsed(folder, validation.of_release(folder, release))
    except BundleError as error:
        yield str(error)


def relay_withdrawals(folder: Path, by: str) -> list[str]:
    """Write withdrawals that the repository holds into the audit log, which the service follows.

    Return why one could not be written, or signed.
    """
    try:
        now, events = state.read(folder), state.events(folder)
    except (state.StateError, OSError):
        return []  # problems() says so of what answers
    known = {each.get("approval") for each in details(events, WITHDRAWN)}
    approved = {
        str(each.get("release")): str(each.get("approval_hash"))
        for each in details(events, APPROVED)
    }
    problems = []
    for release in sorted(now.releases() & approved.keys()):
        digest = approved[release]
        if digest not in known and _is_withdrawn(folder, release, digest):
            otherwise = f"The service does not know that {release} was withdrawn"
            problems += audit.attempt(folder, WITHDRAWN, by, otherwise, approval=digest)
    return problems


def _is_withdrawn(folder: Path, release: str, digest: str) -> bool:
    try:
        approved = validation.approval_path(validation.of_release(folder, release))
    except BundleError:
        return False
    file = signed_approval.withdrawal_of(approved, digest)
    return file.is_file() or signed_approval.in_history(file)
