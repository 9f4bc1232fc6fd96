"""The verb `poe promote VERSION`: an approved version leaves the shadow and answers everything.

It needs the validation's record, the gate's verdict against the release that answers now, and an
audit log that can be relied on. `--reject REASON` ends its shadow instead.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from rung_governance.approval import (
    admission,
    audit,
    bound_facts,
    gate_record,
    keys,
    readiness,
    signatures,
    validation,
    witness,
)
from rung_governance.approval.bound_facts import NotApprovedError
from rung_governance.approval.deploy import REFUSALS, refuse_another_model, without_keys
from rung_governance.approval.signed_log import APPROVED, details
from rung_ops.command import verb
from rung_ops.errors import StageError
from rung_ops.model import bundle
from rung_ops.project import paths
from rung_ops.release import deploy, state
from rung_ops.release.history import State


def promote(folder: Path, named: str, by: str) -> tuple[str, str]:
    """Let a release answer everything in an environment."""
    keys.private_key()
    now = state.read(folder)
    release = find(folder, named, now)
    manifest = bundle.read_manifest(deploy.install(folder, release, without_keys))
    version = validation.released_version(manifest)
    judged = gate_record.last(folder, release) or {}
    reasons = [
        *validation.objections(version, judged.get("facts")),
        *gate_record.withdrawals(folder, version),
        *gate_record.objections(folder, release, now),
        *readiness.objections(version),
    ]
    _refuse(folder, f"{release} may not answer.", reasons)
    approved = _approved(manifest, judged)
    with audit.signed_with_warnings(folder):
        state.note(folder, APPROVED, by, release=release, **approved)
        then = state.serve(folder, release, by, now.generation)
        deploy.delete_unused(folder, then.releases())
    return release, str(manifest["version"])


def renew(folder: Path, release: str, by: str) -> bool:
    """Write a new approval of the release that answers into the audit log; return whether it was."""
    manifest = bundle.read_manifest(paths.bundle(folder, release))
    version = validation.released_version(manifest)
    path, is_signed = validation.approval_path(version), validation.is_signed()
    if is_signed and not path.is_file():
        return False
    digest = bound_facts.file_hash(path) if is_signed else None
    lines = details(state.events(folder), APPROVED)
    known = [each for each in lines if each.get("release") == release]
    if not known and not is_signed:
        return False
    needed = {bound_facts.RELEASE} | ({"approval"} if is_signed else set())
    is_same = known and known[-1].get("approval_hash") == digest and needed <= known[-1].keys()
    if is_same and not is_signed:  # there the line itself approves of the hooks
        is_same = known[-1].get(bound_facts.HOOKS, {}) == bound_facts.hooks_of_service()
    if is_same:
        signed = known[-1].get("approval")  # without a signature none expires
        overdue = bound_facts.overdue(json.loads(signed)) if signed else ()
        lapsed = [*overdue, *gate_record.withdrawals(folder, version)]
        gate_record.refuse("its approval does not count any more.", lapsed)
        return False
    _refuse(folder, "its new approval does not count.", gate_record.lapsed(folder, version))
    keys.private_key()
    judged = gate_record.last(folder, release) or {}
    if not judged.get(bound_facts.RELEASE):  # it was deployed by an earlier library
        refuse_another_model(paths.bundle(folder, release))
        judged = {bound_facts.RELEASE: bound_facts.release_hash(manifest)}
    approved = _approved(manifest, judged)
    with audit.signed_with_warnings(folder):
        state.note(folder, APPROVED, by, release=release, **approved)
    return True


def _refuse(folder: Path, what: str, reasons: list[str]) -> None:
    """Raise state.ChangeRefusedError if there are reasons, or where the log cannot be relied on."""
    faults = [f"the audit log cannot be relied on: {fault}" for fault in audit.report(folder)]
    gate_record.refuse(what, [*reasons, *faults])


def _approved(manifest: Mapping[str, Any], judged: Mapping[str, Any]) -> dict[str, Any]:
    """Describe the approval of a release, as the service verifies it."""
    again = f"`uv run poe deploy {paths.PRODUCTION} {manifest['id']}` compares them"
    if judged.get(bound_facts.RELEASE) != bound_facts.release_hash(manifest):
        raise state.ChangeRefusedError(
            f"{manifest['id']} has other files than were deployed: {again}."
        )
    facts = validation.approval_of(manifest) | {bound_facts.RELEASE: judged[bound_facts.RELEASE]}
    signers = signatures.signers_file(validation.root())
    allowed = signers.read_text(encoding="utf-8") if signers.is_file() else None
    try:
        admission.approved(facts, manifest, allowed)
    except NotApprovedError as error:
        raise state.ChangeRefusedError(
            f"the service would refuse {manifest['id']}: {error}"
        ) from error
    return facts


def reject(folder: Path, named: str, by: str, reason: str) -> str:
    """Take a version that was not approved out of the shadow; return its release."""
    now = state.read(folder)
    shadow = now.shadow.release if now.shadow else None
    if shadow is None or named not in (shadow, _version(folder, shadow)):
        raise state.ChangeRefusedError(f"{shadow or 'nothing'} is in the shadow of {folder.name}.")
    audit.require_signature(folder)
    with audit.signed_with_warnings(folder):
        state.abort(folder, reason, by, now.generation, release=shadow)
    return shadow


def find(folder: Path, named: str, now: State) -> str:
    """Find the release that a version came to production as.

    Raises:
        StageError: there is no version of that number, or no release of that name, at all.
        state.ChangeRefusedError: none is there that could answer.
    """
    # Before anything answers there is no shadow: a deployed release waits among the bundles.
    deployed = [now.shadow.release] if now.shadow else []
    if not now.serving:
        bundles = paths.bundle(folder, "x").parent
        deployed = sorted(path.name for path in bundles.glob("[!.]*"))
    matching = [release for release in deployed if named in (release, _version(folder, release))]
    if len(matching) > 1:
        raise state.ChangeRefusedError(f"{named} is {' and '.join(matching)}: name one of them.")
    if not matching:
        raise state.ChangeRefusedError(
            "\n- ".join([_not_there(folder, named, deployed), *_unapproved(named)])
        )
    return matching[0]


def _version(folder: Path, release: str) -> str:
    try:
        return str(bundle.read_manifest(paths.bundle(folder, release))["version"])
    except bundle.BundleError:
        return ""


def _not_there(folder: Path, named: str, deployed: list[str]) -> str:
    stands = (
        f"{', '.join(deployed)} {'is' if len(deployed) == 1 else 'are'}"
        if deployed
        else "nothing is"
    )
    waits = f"{named} does not wait in {folder.name} to be promoted; {stands} there."
    if named in deploy.candidates():
        return f"{waits} `uv run poe deploy {folder.name} {named}` brings it."
    way = f"`uv run poe gate {named}`, `uv run poe release {named}` and `uv run poe deploy"
    return f"version {waits} {way} {folder.name}` bring it."


def _unapproved(named: str) -> list[str]:
    """Say what else is missing, so that all of it can be fixed at once."""
    from rung_ops.tracking import registry  # brings MLflow, which takes seconds

    if named in deploy.candidates():
        return []
    try:
        return validation.objections(registry.version(named))
    except Exception as error:  # whatever a registry that is down or new may raise
        if not named.isdecimal():
            raise StageError(deploy.no_such_candidate(named)) from error
        if isinstance(error, registry.NoVersionError):
            raise
        return []  # the other reasons hold


@verb("poe promote")
@click.argument("version")
@click.option("--reject", "reason", metavar="REASON", help="take it out of the shadow instead")
def main(version: str, reason: str | None) -> int:
    """Let an approved version answer in production, or list everything that speaks against it.

    VERSION is its number in the registry, or the id of a release.
    """
    folder = paths.environment(paths.PRODUCTION)
    try:
        if reason is not None:
            release = reject(folder, version, paths.person(), reason)
            print(f"{release} is no longer in the shadow of {folder.name}.")
            return 0
        deployed = state.read(folder).serving
        if deployed and version in (deployed, _version(folder, deployed)):
            # Typed again, it completes what a registry that was down did not take.
            renewed = renew(folder, deployed, paths.person())
            print(f"{deployed} answers in {folder.name} already.")
            if renewed:
                print("Its new approval is in the audit log.")
            print(deploy.set_champion(_version(folder, deployed)))
            return 0
        release, number = promote(folder, version, paths.person())
    except REFUSALS as error:
        print(f"Refused: {error}", file=sys.stderr)
        print(f"How to write the record: {validation.RECORDS}/README.md", file=sys.stderr)
        return 1
    print(f"{release} answers in {folder.name}; approved in {validation.RECORDS}.")
    if state.read(folder).stopped:
        print(f"{folder.name} stays stopped until `uv run poe resume`.")
    print(deploy.set_champion(number))
    if problem := witness.note(folder, paths.person()):
        print(problem, file=sys.stderr)
    return 0
