"""Bring a release to staging, or into the shadow of production: `uv run poe deploy ENVIRONMENT`.

In production it answers no requests until `poe promote`, which needs its approval. Where production
serves nothing yet there is no shadow, and the release waits.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rung_governance import approval, audit, gate_record, keys, witness
from rung_ops.errors import SettingsError
from rung_ops.gate import rules as gate_rules
from rung_ops.model import bundle
from rung_ops.model.bundle import BundleError
from rung_ops.project import keyless, release_folders
from rung_ops.project.paths import shown
from rung_ops.release import deploy as release_deploy
from rung_ops.release import gate_check, install, state, status
from rung_ops.system import locks

REFUSALS = (
    *(
        BundleError,
        SettingsError,
        state.Refused,
        state.BadState,
        locks.LockTimeoutError,
        keys.NoKey,
        keyless.CandidateError,
        OSError,
    ),
)


def to_the_shadow(folder: Path, release: str, by: str) -> str:
    """Put a candidate that passed the gate into the shadow; return where it is now.

    Raises:
        state.Refused: the gate refuses it, or it answers already.
        keys.NoKey: the audit log could not be signed, and `poe promote` relies on it.
        BundleError, SettingsError: it must not be used.
    """
    keys.private_key()
    before = state.read(folder)
    audit.require_signature(folder)
    manifest = bundle.read_manifest(install.install(folder, release, without_keys))
    if release == before.serving:
        raise state.Refused(f"{release} answers already.")
    if reasons := list(
        gate_check.objections(manifest, before, gate_check.gate_file(), awaited=True)
    ):
        raise state.Refused("\n- ".join(["the gate refuses it.", *reasons]))
    _refuse_withdrawn(folder, manifest)
    if reasons := rejudged(manifest):
        raise state.Refused("\n- ".join(["it is not what was recorded and judged.", *reasons]))
    refuse_another_model(release_folders.bundle(folder, release))
    answers = f"`uv run poe promote {manifest['version']}` lets it answer, when it is approved."
    now = before
    with audit.signed_with_warnings(folder):
        gate_record.note(folder, manifest, by, gate_check.gate_file())
        if before.serving and not status.role_of(before, release):
            now = release_deploy.begin(folder, release, by, expected=before.generation)
            install.forget(folder, now.releases())
    if role := status.role_of(now, release):
        return f"{release} {role}: {answers}"
    return f"{release} waits, and answers no requests: {answers}"


def without_keys(path: Path) -> None:
    """Load a bundle as install.check() does, in a process that holds no key."""
    keyless.call("rung_ops.release.install:check", str(path), raises=(BundleError, SettingsError))


def rejudged(manifest: Mapping[str, Any]) -> list[str]:
    """Run the gate again on the version of a release; list what differs and what speaks against it.

    Raises:
        state.Refused: the registry or the rules cannot be used.
    """
    from rung_governance import rejudge  # brings MLflow, which takes seconds
    from rung_ops.tracking import registry

    try:
        return rejudge.faults(str(manifest["version"]), released=manifest)
    except (registry.MlflowException, gate_rules.BadRules) as error:
        raise state.Refused(f"the gate could not be run again: {error}") from error


def refuse_another_model(release: Path) -> None:
    """Refuse a release whose served model is not the export of its version's model.

    Raises:
        state.Refused: it is another one, or cannot be compared.
        BundleError: the release is not as it was signed.
    """
    compared = "rung_governance.served_model:differences"
    if reasons := keyless.call(compared, str(release), raises=(BundleError,)):
        raise state.Refused("\n- ".join(["it does not serve the model of its version.", *reasons]))


def _refuse_withdrawn(folder: Path, manifest: Mapping[str, Any]) -> None:
    version = approval.released_version(manifest)
    if withdrawals := list(gate_record.withdrawals(folder, version)):
        raise state.Refused(f"{manifest['id']} does not come back: {withdrawals[0]}.")


def main(arguments: list[str] | None = None) -> int:
    """Deploy; return the exit code."""
    options = _options(arguments)
    folder = release_folders.environment(options.environment)
    if options.environment == release_folders.PRODUCTION:
        return _to_production(folder, options.release)
    try:
        if release := options.release or install.newest():
            _refuse_withdrawn(folder, bundle.read_manifest(release_folders.candidates() / release))
    except state.Refused as error:
        print(f"Nothing was changed in {folder.name}: {error}", file=sys.stderr)
        return 1
    except BundleError:
        pass  # rung_ops.release.deploy says what is wrong with it
    with audit.signed_with_warnings(folder):
        code = release_deploy.main([options.environment, *filter(None, [options.release])])
    return code


def _to_production(folder: Path, asked: str | None) -> int:
    try:
        release = asked or install.newest()
        if release is None:
            raise BundleError(
                f"{shown(release_folders.candidates())} holds no release: `uv run poe release` writes one."
            )
        if not asked and (back := release_deploy.rollback_event(folder, release)):
            raise state.Refused(
                f"{release} was rolled back at {back['at']} by {back['by']} "
                f"({back['detail'].get('reason') or 'without a reason'}). Name it to try it again."
            )
        print(to_the_shadow(folder, release, release_folders.person()))
    except REFUSALS as error:
        print(f"Nothing was changed in {folder.name}: {error}", file=sys.stderr)
        return 1
    if problem := witness.note(folder, release_folders.person()):
        print(problem, file=sys.stderr)
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="poe deploy", description=__doc__.splitlines()[0])
    parser.add_argument("environment", choices=release_folders.ENVIRONMENTS)
    parser.add_argument("release", nargs="?", help="its id; the newest candidate unless you say so")
    return parser.parse_args(arguments)
