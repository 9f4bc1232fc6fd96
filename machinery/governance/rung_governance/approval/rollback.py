"""Put the previous release back: `uv run poe rollback [ENVIRONMENT] [--from RELEASE] [--reason TEXT]`.

As rung_ops.release.rollback, but signed in the audit log, and back only to a release that is still
approved.
"""

from pathlib import Path

from rung_governance.approval import audit, gate_record, validation
from rung_ops.model.bundle import BundleError
from rung_ops.project import release_folders
from rung_ops.release import rollback, state


def roll_back(folder: Path, by: str, reason: str, source: str | None = None) -> str:
    """Roll an environment back, from the release `source`; return what happened, as a sentence."""
    before = state.read(folder)
    if folder.name == release_folders.PRODUCTION:
        audit.require_signature(folder)
        if before.previous and not before.on_trial:  # ending a trial needs no approval
            _refuse_unapproved(folder, before.previous[0])
    with audit.signed_with_warnings(folder):
        return rollback.roll_back(folder, by, reason, source, before)


def _refuse_unapproved(folder: Path, release: str) -> None:
    try:
        version = validation.of_release(folder, release)
    except BundleError:
        return  # rung_ops.release.rollback says what is wrong with it
    if reasons := gate_record.lapsed(folder, version):
        raise state.ChangeRefusedError(
            "\n- ".join([f"{release} answered before, and may not any more.", *reasons])
            + "\n`uv run poe stop --by NAME --reason WHY` stops the model at once."
        )


main = rollback.rollback_verb(roll_back)
