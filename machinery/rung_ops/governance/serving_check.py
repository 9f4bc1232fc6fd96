"""Whether what production serves is what was approved: by the signed log, and by the records of now.

An edited state.json, a state that was written past `poe promote`, an expired approval and a
withdrawn one are found by `poe monitor`.
"""

from collections.abc import Iterator
from pathlib import Path

from rung_ops.governance import approval, gate_record, keys, verification
from rung_ops.governance.signed_log import APPROVED
from rung_ops.release import bundle, paths, state


def problems(folder: Path, release: str) -> list[str]:
    """Say why a release should not answer in an environment; staging needs no approval.

    Args:
        folder: the environment's.
        release: that answers.
    """
    if folder.name != paths.PRODUCTION:
        return []
    return [f"{release} answers unapproved: {each}" for each in _objections(folder, release)]


def _objections(folder: Path, release: str) -> Iterator[str]:
    try:
        signed = verification.verify(folder, keys.public_key()).anchored
        events = state.events(folder)[:signed]
    except (keys.NoKey, state.BadState) as error:
        yield str(error)
        return
    approved = [each for each in events if each["event"] == APPROVED]
    if not any(each["detail"].get("release") == release for each in approved):
        yield "no signed line of the audit log approves of it"
    try:
        manifest = bundle.read_manifest(paths.bundle(folder, release))
    except bundle.BadBundle as error:
        yield str(error)
        return
    version = approval.released_version(manifest)
    found = [*approval.objections(version, answered=True)]
    yield from dict.fromkeys([*found, *gate_record.withdrawals(folder, version)])
