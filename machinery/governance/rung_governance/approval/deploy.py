"""Bring a release to staging, or into the shadow of production: `uv run poe deploy ENVIRONMENT`; roll back.

In production it answers no requests until `poe promote`, which needs its approval. Where production
serves nothing yet there is no shadow, and the release waits.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from rung_governance.approval import audit, gate_record, keys, validation, witness
from rung_governance.approval.keys import AuditLogError
from rung_ops.command import verb
from rung_ops.errors import SettingsError
from rung_ops.gate import rules as gate_rules
from rung_ops.model import bundle
from rung_ops.model.bundle import BundleError
from rung_ops.project import keyless, paths
from rung_ops.project.paths import shown
from rung_ops.release import deploy as release_deploy
from rung_ops.release import rollback as release_rollback
from rung_ops.release import state
from rung_ops.system import files

REFUSALS = (
    *(BundleError, SettingsError, state.ChangeRefusedError, state.StateError),
    *(files.LockTimeoutError, AuditLogError, keyless.CandidateError, OSError),
)


def to_the_shadow(folder: Path, release: str, by: str) -> str:
    """Put a candidate that passed the gate into the shadow; return where it is now."""
    keys.private_key()
    before = state.read(folder)
    audit.require_signature(folder)
    manifest = bundle.read_manifest(release_deploy.install(folder, release, without_keys))
    if release == before.serving:
        raise state.ChangeRefusedError(f"{release} answers already.")
    objections = release_deploy.gate_objections(manifest, before, awaited=True)
    gate_record.refuse("the gate refuses it.", objections)
    _refuse_withdrawn(folder, manifest)
    gate_record.refuse("it is not what was recorded and judged.", rejudged(manifest))
    refuse_another_model(paths.bundle(folder, release))
    answers = f"`uv run poe promote {manifest['version']}` lets it answer, when it is approved."
    now = before
    with audit.signed_with_warnings(folder):
        gate_record.note(folder, manifest, by, gate_rules.verdict_file())
        release_deploy.keep_verdict(folder, manifest["id"])
        if before.serving and not before.role_of(release):
            now = release_deploy.begin(folder, release, by, expected=before.generation)
            release_deploy.delete_unused(folder, now.releases())
    if role := now.role_of(release):
        return f"{release} {role}: {answers}"
    return f"{release} waits, and answers no requests: {answers}"


def without_keys(path: Path) -> None:
    """Load a bundle as deploy.check_bundle() does, in a process that holds no key."""
    keyless.call(
        "rung_ops.release.deploy:check_bundle", str(path), raises=(BundleError, SettingsError)
    )


def rejudged(manifest: Mapping[str, Any]) -> list[str]:
    """Run the gate again on the version of a release; list what differs and what speaks against it."""
    from rung_governance.approval import rejudge  # brings MLflow, which takes seconds
    from rung_ops.tracking import registry

    try:
        return rejudge.faults(str(manifest["version"]), released=manifest)
    except (registry.MlflowException, SettingsError) as error:
        raise state.ChangeRefusedError(f"the gate could not be run again: {error}") from error


def refuse_another_model(release: Path) -> None:
    """Refuse a release whose served model is not the export of its version's model."""
    compared = "rung_governance.approval.served_model:differences"
    reasons = keyless.call(compared, str(release), raises=(BundleError,))
    gate_record.refuse("it does not serve the model of its version.", reasons)


def _refuse_withdrawn(folder: Path, manifest: Mapping[str, Any]) -> None:
    version = validation.released_version(manifest)
    if withdrawals := list(gate_record.withdrawals(folder, version)):
        raise state.ChangeRefusedError(f"{manifest['id']} does not come back: {withdrawals[0]}.")


@verb("poe deploy")
@click.argument("environment", type=click.Choice(paths.ENVIRONMENTS))
@click.argument("release", required=False)
def main(environment: str, release: str | None) -> int:
    """Bring a release to staging, or into the shadow of production.

    RELEASE is its id; the newest candidate by default.
    """
    folder = paths.environment(environment)
    if environment == paths.PRODUCTION:
        return _to_production(folder, release)
    try:
        if newest := release or release_deploy.newest_candidate():
            _refuse_withdrawn(folder, bundle.read_manifest(paths.candidates() / newest))
    except state.ChangeRefusedError as error:
        print(f"Nothing was changed in {folder.name}: {error}", file=sys.stderr)
        return 1
    except BundleError:
        pass  # rung_ops.release.deploy says what is wrong with it
    with audit.signed_with_warnings(folder):
        return release_deploy.main([environment, *filter(None, [release])])


def _to_production(folder: Path, named: str | None) -> int:
    try:
        release = named or release_deploy.newest_candidate()
        if release is None:
            raise BundleError(
                f"{shown(paths.candidates())} holds no release: `uv run poe release` writes one."
            )
        if not named and (back := release_deploy.rollback_event(folder, release)):
            raise state.ChangeRefusedError(
                f"{release} was rolled back at {back['at']} by {back['by']} "
                f"({back['detail'].get('reason') or 'without a reason'}). Name it to try it again."
            )
        print(to_the_shadow(folder, release, paths.person()))
    except REFUSALS as error:
        print(f"Nothing was changed in {folder.name}: {error}", file=sys.stderr)
        return 1
    if problem := witness.note(folder, paths.person()):
        print(problem, file=sys.stderr)
    return 0


def roll_back(folder: Path, by: str, reason: str, source: str | None = None) -> str:
    """Roll an environment back, from the release `source`; return what happened, as a sentence.

    Production goes back only to a release that is still approved.
    """
    before = state.read(folder)
    if folder.name == paths.PRODUCTION:
        audit.require_signature(folder)
        if before.previous and not before.on_trial:  # ending a trial needs no approval
            _refuse_unapproved(folder, before.previous[0])
    with audit.signed_with_warnings(folder):
        return release_rollback.roll_back(folder, by, reason, source, before)


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


rollback = release_rollback.rollback_verb(roll_back)
