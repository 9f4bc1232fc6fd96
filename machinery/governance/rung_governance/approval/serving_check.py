"""The check that production serves what was approved, by the signed log and today's records.

`poe monitor` finds an edited state.json, a state written past `poe promote`, and an approval that has
expired or was withdrawn.
"""

from collections.abc import Iterator
from pathlib import Path

from rung_governance.approval import audit, gate_record, keys, signed_approval, validation
from rung_governance.approval.keys import AuditKeyError
from rung_governance.approval.signed_log import APPROVED, WITHDRAWN
from rung_ops.model import bundle
from rung_ops.project import release_folders
from rung_ops.release import state
from rung_ops.system import locks


def problems(folder: Path, release: str) -> list[str]:
    """Say why a release should not answer in an environment; staging needs no approval.

    Args:
        folder: the environment's.
        release: that answers.
    """
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
    approved = [each for each in events if each["event"] == APPROVED]
    if not any(each["detail"].get("release") == release for each in approved):
        yield "no signed line of the audit log approves of it"
    try:
        manifest = bundle.read_manifest(release_folders.bundle(folder, release))
    except bundle.BundleError as error:
        yield str(error)
        return
    version = validation.released_version(manifest)
    objections = [*validation.objections(version, answered=True)]
    yield from dict.fromkeys([*objections, *gate_record.withdrawals(folder, version)])


def relay_withdrawals(folder: Path, by: str) -> list[str]:
    """Write withdrawals that the repository holds into the audit log, which the service follows.

    Args:
        folder: of the environment.
        by: who is named in the log.

    Returns:
        Why one could not be written, or signed.
    """
    try:
        now, events = state.read(folder), state.events(folder)
    except (state.StateError, OSError):
        return []  # problems() says so of what answers
    known = {each["detail"].get("approval") for each in events if each["event"] == WITHDRAWN}
    approved = {
        str(each["detail"].get("release")): str(each["detail"].get("approval_hash"))
        for each in events
        if each["event"] == APPROVED
    }
    problems = []
    for release in sorted(now.releases() & approved.keys()):
        if approved[release] not in known and _is_withdrawn(folder, release, approved[release]):
            try:
                keys.private_key()
                problems += audit.record(folder, WITHDRAWN, by, approval=approved[release])
            except (AuditKeyError, OSError, locks.LockTimeoutError, state.StateError) as error:
                problems.append(f"The service does not know that {release} was withdrawn: {error}")
    return problems


def _is_withdrawn(folder: Path, release: str, digest: str) -> bool:
    try:
        manifest = bundle.read_manifest(release_folders.bundle(folder, release))
    except bundle.BundleError:
        return False
    approved = validation.approval_path(validation.released_version(manifest))
    file = signed_approval.withdrawal_of(approved, digest)
    return file.is_file() or signed_approval.in_history(file)
