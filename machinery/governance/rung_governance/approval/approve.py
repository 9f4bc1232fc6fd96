"""The verb `poe approve VERSION`: sign an approval with your own SSH key, or withdraw it.

The gate runs first, so that no refused version is validated; then the skeleton of the validation
record is written. An approval is void as soon as something that it names changes.
"""

import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import click
from mlflow.entities.model_registry import ModelVersion

from rung_governance.approval import (
    audit,
    developers,
    readiness,
    rejudge,
    signatures,
    signed_approval,
    validation,
)
from rung_governance.approval.bound_facts import NotApprovedError, file_hash
from rung_governance.approval.signed_log import WITHDRAWN
from rung_ops.command import verb
from rung_ops.errors import SettingsError
from rung_ops.gate import registry_gate
from rung_ops.gate.verdict import Verdict
from rung_ops.project import current, documents, paths
from rung_ops.project.paths import shown
from rung_ops.release import state
from rung_ops.system import git
from rung_ops.tracking import registry, store_address


def approve(version: validation.Version, key_path: str | None) -> Path:
    """Run the gate again and sign an approval of a version; return its file."""
    if not validation.is_signed():
        raise NotApprovedError(
            f"{signatures.SIGNERS} is missing, so no signature could count. In a team of one the "
            "record alone approves, once it is committed; with a second person, write the file"
        )
    key = _key(key_path)
    verdict = _passed(version, validation.record_objections(version))
    (record,) = validation.record_paths(version)
    facts = signed_approval.verdict_facts(dataclasses.asdict(verdict))
    about = {"model": version.name, "version": str(version.version)} | validation.made_of(version)
    if not about["source_hash"]:
        _refuse([f"this clone lacks commit {about['git_commit'][:12]}: `git fetch` brings it"])
    about["model_file"] = version.tags.get("model_file", "")  # which an image for scoring holds
    path = validation.approval_path(version)
    content = signed_approval.statement(about, record, facts, validation.root())
    with _restored(path):
        _sign(path, content, key, str(documents.record(record)["validator"]["email"]))
        _refuse(validation.objections(version, facts))
    registry_gate.publish(dataclasses.replace(verdict, promote=True, awaits=[]))
    return path


def _passed(version: validation.Version, objections: list[str]) -> Verdict:
    _refuse([*objections, *readiness.objections(version)])
    verdict = rejudge.verdict(str(version.version), signing=True)
    if verdict.reasons:
        registry_gate.publish(verdict)
        _refuse(verdict.reasons)
    return verdict


def withdraw(version: validation.Version, reason: str, key: str) -> Path:
    """Sign the withdrawal of a version's approval; return its file."""
    path = validation.approval_path(version)
    if not path.is_file():
        raise NotApprovedError(f"{shown(path)} does not exist: there is nothing to withdraw")
    digest = file_hash(path)
    withdrawal = signed_approval.withdrawal_of(path, digest)
    by, day = paths.person(), date.today().isoformat()
    facts = {"model": version.name, "version": str(version.version), "approval": digest}
    with _restored(withdrawal):
        _sign(withdrawal, facts | {"by": by, "withdrawn": day, "reason": reason}, key, by)
    folder = paths.environment(paths.PRODUCTION)
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
        signed_approval.read(path, validation.root())
    except NotApprovedError as error:
        line = signatures.line_for(key, email)
        raise NotApprovedError(
            f"the key is not one that {signatures.SIGNERS} allows to approve. Its owners add a line "
            f"for each validator, such as:\n{line}"
        ) from error


def _refuse(reasons: list[str]) -> None:
    if reasons:
        raise NotApprovedError("\n- ".join(["there are objections.", *reasons]))


def _version(wanted: str) -> ModelVersion:
    try:
        with registry.server_errors(store_address.tracking_uri, registry_gate.RETRY):
            return registry.version(wanted)
    except registry.ServerDownError:
        raise
    except registry.MlflowException as error:
        raise NotApprovedError(registry.reason_of(error)) from error


def _key(key_path: str | None) -> str:
    configured = git.run(Path.cwd(), "config", "user.signingKey").stdout.strip()
    if not (key := key_path or configured):
        raise NotApprovedError(
            "there is no key: name one with --key, or `git config user.signingKey PATH`"
        )
    return key


@verb("poe approve")
@click.argument("version")
@click.option("--key", help="path of your SSH key; by default git's user.signingKey")
@click.option("--withdraw", "reason", metavar="REASON", help="withdraw the approval instead")
def main(version: str, key: str | None, reason: str | None) -> int:
    """Approve of a version with your own SSH key, or withdraw that.

    VERSION is its number in the registry, or an alias.
    """
    try:
        registered = _version(version)
        if reason:
            path = withdraw(registered, reason, _key(key))
        elif not validation.record_paths(registered):
            _passed(registered, list(validation.version_objections(registered)))
            made = shown(write_skeleton(registered))
            raise NotApprovedError(f"wrote {made}. Answer what is empty in it, and type this again")
        else:
            path = approve(registered, key)
    except (
        *(NotApprovedError, SettingsError, registry.MlflowException),
        *audit.UNWRITABLE,
    ) as error:
        print(f"Nothing was signed: {error}", file=sys.stderr)
        return 1
    done, of = ("withdrawn", "") if reason else ("approved", ", with the record")
    print(f"{registered.name} {registered.version} is {done}: {shown(path)} and its signature.")
    print(f"Commit both files{of}: what is not on the main branch has not been decided.")
    return 0


EXAMINED = ("metrics", "comparison", "slices", "fairness", "explanations", "validation")
SKELETON = """\
# `poe approve {version}` wrote this from the registry: answer what is empty, commit, type it again.
model: {model}
version: {version}
git_commit: {git_commit}
data_hash: {data_hash}
params_hash: {params_hash}
figures: {figures}
# Somebody who did not develop it.
validator: {{name: {name}, email: {email}}}
date: {today}
# What was examined of design, assumptions, data and method, and what was found.
conceptual_soundness:
# The figures overall, by group and against the baseline; what was run again, with what result.
outcomes_analysis:
# Where this version must not be relied on.
limitations:
# What was examined; add what you made yourself.
evidence:{evidence}
# One a line, or []: {{finding: ..., severity: high, owner: ..., due: 2027-01-31, evidence: ...}}
findings:
decision: # approved or rejected
# conditions: what the approval depends on; required while a finding of high severity is open.
"""


def write_skeleton(version: ModelVersion) -> Path:
    """Write the record's skeleton where the record belongs; return its path."""
    metrics = registry.client().get_run(str(version.run_id)).data.metrics
    tags = {name: version.tags.get(name, "") for name in ("git_commit", "data_hash", "params_hash")}
    known: dict[str, Any] = {
        **tags,
        "model": version.name,
        "figures": {name: round(value, 4) for name, value in sorted(metrics.items())},
        **_validator(version),
        "today": date.today().isoformat(),
        "evidence": list(_evidence(str(version.version))),
    }
    # JSON is YAML, and quotes what has to be quoted.
    written = {name: json.dumps(value, ensure_ascii=False) for name, value in known.items()}
    written["evidence"] = "".join(f"\n  - {each}" for each in known["evidence"])
    path = validation.root() / validation.RECORDS / f"{version.name}-{version.version}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SKELETON.format(version=version.version, **written), encoding="utf-8")
    return path


def _validator(version: ModelVersion) -> dict[str, str | None]:
    """Name who types this; nobody if that is a developer of the version, who cannot validate it."""
    person = {name: _git_setting(f"user.{name}") for name in ("name", "email")}
    if developers.known_by(person.values()) & validation.known_developers(version):
        return dict.fromkeys(person)
    return dict(person)


def _evidence(version: str) -> Iterator[str]:
    """Name the reports of this version, if they are here, with their SHA-256."""
    run = current().reports / "run.json"
    result: dict[str, Any] = json.loads(run.read_text("utf-8")) if run.is_file() else {}
    if str(result.get("version")) != version:
        return
    for path in (current().reports / f"{name}.json" for name in EXAMINED):
        if path.is_file():
            yield f"reports/{path.name}, SHA-256 {file_hash(path)}"


def _git_setting(setting: str) -> str:
    return git.run(validation.root(), "config", setting).stdout.strip()
