"""Approve of a version with your own SSH key, or withdraw that: `uv run poe approve VERSION`.

The gate is run first, so no refused version is validated. Then the skeleton of the validation
record is written, or, where the validator has answered it, the approval is signed. What is signed
names the model's bytes, commit, data, parameters, plan, rules and verdict; where one of them
changes, it is void.
"""

import argparse
import dataclasses
import hashlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from mlflow.entities.model_registry import ModelVersion

from rung_governance import (
    approval,
    audit,
    readiness,
    record_skeleton,
    rejudge,
    signatures,
    signed_approval,
)
from rung_governance.signed_log import WITHDRAWN
from rung_ops.errors import SettingsError
from rung_ops.gate import registry_gate
from rung_ops.gate.judge import Verdict
from rung_ops.project import documents, release_folders
from rung_ops.project.paths import shown
from rung_ops.release import state
from rung_ops.system import git, locks
from rung_ops.tracking import registry, server_check, store_address

KEY_HELP = "path of your SSH key; by default git's user.signingKey"


class Refused(Exception):
    """Nothing was signed; the message lists every reason."""


def approve(version: approval.Version, given: str | None) -> Path:
    """Run the gate again and sign an approval of a version; return its file.

    Args:
        version: of the registry.
        given: path of the key; None for that of git.

    Raises:
        Refused: the gate or the record speaks against it, or the signer may not approve.
        signatures.NotSigned: the key does not sign.
    """
    if not approval.is_signed():
        raise Refused(
            f"{signatures.SIGNERS} is missing, so no signature could count. In a team of one the "
            "record alone approves, once it is committed; with a second person, write the file"
        )
    key = _key(given)
    verdict = _passed(version, approval.record_objections(version))
    (record,) = approval.record_paths(version)
    facts = signed_approval.verdict_facts(dataclasses.asdict(verdict))
    about = {"model": version.name, "version": str(version.version)} | approval.made_of(version)
    if not about["source_hash"]:
        _refuse([f"this clone lacks commit {about['git_commit'][:12]}: `git fetch` brings it"])
    about["model_file"] = version.tags.get("model_file", "")  # which an image for scoring holds
    path = approval.approval_path(version)
    content = signed_approval.statement(about, record, facts, approval.root())
    with _restored(path):
        _sign(path, content, key, str(documents.record(record)["validator"]["email"]))
        _refuse(approval.objections(version, facts))
    registry_gate.publish(dataclasses.replace(verdict, promote=True, awaits=[]))
    return path


def begin(version: ModelVersion) -> Path:
    """Run the gate and write the skeleton of the record; return its file.

    Raises:
        Refused: the gate or a document speaks against the version.
    """
    _passed(version, [])
    return record_skeleton.write(version)


def _passed(version: approval.Version, objections: list[str]) -> Verdict:
    _refuse([*objections, *readiness.objections(version)])
    verdict = rejudge.verdict(str(version.version), signing=True)
    if verdict.reasons:
        registry_gate.publish(verdict)
        _refuse(verdict.reasons)
    return verdict


def withdraw(version: approval.Version, reason: str, key: str) -> Path:
    """Sign the withdrawal of a version's approval; return its file.

    Raises:
        Refused: there is no approval.
        signatures.NotSigned: the key is not one that may approve.
    """
    path = approval.approval_path(version)
    if not path.is_file():
        raise Refused(f"{shown(path)} does not exist: there is nothing to withdraw")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    withdrawal = signed_approval.withdrawal_of(path, digest)
    by, day = release_folders.person(), date.today().isoformat()
    facts = {"model": version.name, "version": str(version.version), "approval": digest}
    with _restored(withdrawal):
        _sign(withdrawal, facts | {"by": by, "withdrawn": day, "reason": reason}, key, by)
    folder = release_folders.environment(release_folders.PRODUCTION)
    if (folder / state.HISTORY).exists():
        for problem in audit.record(folder, WITHDRAWN, by, approval=digest, reason=reason):
            print(problem, file=sys.stderr)
    return withdrawal


@contextmanager
def _restored(path: Path) -> Iterator[None]:
    """Where the block raises, leave a signed file and its signature as they were."""
    files = (path, signed_approval.proof_of(path))
    before = [file.read_bytes() if file.is_file() else None for file in files]
    try:
        yield
    except BaseException:
        for file, content in zip(files, before, strict=True):
            if content is None:
                file.unlink(missing_ok=True)
            else:
                file.write_bytes(content)
        raise


def _sign(path: Path, content: Mapping[str, Any], key: str, email: str) -> None:
    signed_approval.write(path, content, key)
    try:
        signed_approval.read(path, approval.root())
    except signatures.NotSigned as error:
        line = signatures.line_for(key, email)
        raise signatures.NotSigned(
            f"the key is not one that {signatures.SIGNERS} allows to approve. Its owners add a line "
            f"for each validator, such as:\n{line}"
        ) from error


def _refuse(reasons: list[str]) -> None:
    if reasons:
        raise Refused("\n- ".join(["", *reasons]))


def _version(wanted: str) -> ModelVersion:
    try:
        with server_check.server_errors(store_address.tracking_uri, registry_gate.RETRY):
            return registry.version(wanted)
    except registry.ServerDownError:
        raise
    except registry.MlflowException as error:
        raise Refused(registry.reason_of(error)) from error


def _key(given: str | None) -> str:
    configured = git.run(Path.cwd(), "config", "user.signingKey")
    if not (key := given or configured.stdout.strip()):
        raise signatures.NotSigned(
            "there is no key: name one with --key, or `git config user.signingKey PATH`"
        )
    return key


def main(arguments: list[str] | None = None) -> int:
    """Approve or withdraw; return the exit code."""
    parser = argparse.ArgumentParser(prog="poe approve", description=__doc__.splitlines()[0])
    parser.add_argument("version", help="number of the version in the registry, or an alias")
    parser.add_argument("--key", help=KEY_HELP)
    parser.add_argument("--withdraw", metavar="REASON", help="withdraw the approval instead")
    options = parser.parse_args(arguments)
    try:
        version = _version(options.version)
        if options.withdraw:
            path = withdraw(version, options.withdraw, _key(options.key))
        elif not approval.record_paths(version):
            made = begin(version)
            raise Refused(f"wrote {shown(made)}. Answer what is empty in it, and type this again")
        else:
            path = approve(version, options.key)
    except (
        *(Refused, signatures.NotSigned, SettingsError),
        *(registry.MlflowException, locks.LockTimeoutError, state.StateError, OSError),
    ) as error:
        print(f"Nothing was signed: {error}", file=sys.stderr)
        return 1
    done, of = ("withdrawn", "") if options.withdraw else ("approved", ", with the record")
    print(f"{version.name} {version.version} is {done}: {shown(path)} and its signature.")
    print(f"Commit both files{of}: what is not on the main branch has not been decided.")
    return 0
