"""A project with people in it: they commit, hold SSH keys, and approve of versions."""

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import yaml

from machinery.governance.tests.conftest import APPROVED, Patch
from machinery.tests.conftest import FACTS
from machinery.tests.projects import moved
from rung_governance.approval import (
    approve,
    bound_facts,
    plan,
    rejudge,
    signatures,
    signed_approval,
    validation,
)
from rung_ops.gate import rules
from rung_ops.gate.verdict import Verdict
from rung_ops.model import bundle
from rung_ops.release import make, signing
from rung_ops.tracking import registry, versions

ADA, VERA = "Ada Lovelace <ada@example.org>", "Vera Valid <vera@example.org>"
OTTO = "Otto Other <otto@example.org>"
MODEL = "the bytes of the model"
PARAMS = "[model]\nC = 1\n\n[fairness.groups]\nage = [30]\n"
PASSED = Verdict(True, [], {"metric": "auc", "challenger": 0.79}, challenger={"version": "1"})
# What the approval of a release of FACTS says beside what it binds.
TERMS = {"approved": "2026-01-31T12:00:00+00:00", "expires": "2099-01-31", "lapsed": "stop"}


def source_of(release: Path) -> str:
    """Hash the source of a release, as an approval of it does."""
    return bundle.source_hash(bundle.read_manifest(release)["files"])


def approved_line(
    release: str, key: str, manifest: Mapping[str, Any] | None = None, **changes: Any
) -> dict[str, str]:
    """Sign an approval of a release of FACTS, without files by default; return its line's details."""
    version = release.partition("-")[0].removeprefix("v")
    made_of = {"version": version, "source_hash": bundle.source_hash({})}
    text = json.dumps(FACTS | made_of | TERMS | changes)
    return {
        "release": release,
        "release_hash": bound_facts.release_hash(manifest or FACTS | {"id": release}),
        "approval": text,
        "approval_signature": signatures.sign(text.encode(), key),
        "approval_hash": hashlib.sha256(text.encode()).hexdigest(),
    }


def swap_model(release: Path, private_key: bytes) -> None:
    """Put other bytes that predict the same in place of a release's model, and sign it again."""
    manifest = bundle.read_manifest(release)
    names = {"onnx": bundle.ONNX, "lightgbm": bundle.LIGHTGBM}
    path = release / names[manifest["format"]]
    if manifest["format"] == "onnx":
        model = onnx.load(path)
        model.producer_name = "eve"
        path.write_bytes(model.SerializeToString())
    else:
        path.write_text(f"{path.read_text()}\n")
    (release / bundle.SIGNATURE).unlink()
    files = bundle.files_of(release)
    make.write_json(release / bundle.MANIFEST, manifest | {"files": files})
    signing.sign(release, private_key)


def new_key(path: Path) -> str:
    """Make an SSH key; return its path."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return str(path)


def email(person: str) -> str:
    return person.partition("<")[2].rstrip(">")


@dataclass
class Desk:
    """A folder with a repository in which versions are made and approved."""

    folder: Path
    patch: Patch

    def git(self, *arguments: str, **more: str) -> str:
        how: Any = {"check": True, "capture_output": True, "text": True}
        words = ["git", *arguments]
        return subprocess.run(words, cwd=self.folder, env=os.environ | more, **how).stdout.strip()

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def commit(
        self,
        author: str,
        files: dict[str, str] | None = None,
        committer: str = "",
        message: str = "Go",
    ) -> str:
        """Commit these files, or else whatever has changed, as a person; return the hash."""
        self.write(files or {})
        people = {"AUTHOR": author, "COMMITTER": committer or author}
        who = {
            f"GIT_{role}_{key}": value
            for role, person in people.items()
            for key, value in (("NAME", person.partition(" <")[0]), ("EMAIL", email(person)))
        }
        self.git("add", *(files or ["-A"]))
        self.git("commit", "--allow-empty", "-qm", message, **who)
        return self.git("rev-parse", "HEAD")

    def key(self, person: str) -> str:
        """Make a person's key, if it is not there; return its path."""
        path = self.folder.parent / f"{email(person)}.key"
        return str(path) if path.exists() else new_key(path)

    def allow(self, *people: str, names: str = "") -> None:
        """Let people approve; names are further principals of the last one."""
        lines = [signatures.line_for(self.key(person), email(person)) for person in people]
        if names:
            lines[-1] = f"{names},{lines[-1]}"
        path = self.folder / signatures.SIGNERS
        path.write_text("# Whose key is whose.\n" + "".join(f"{line}\n" for line in lines))

    def version(self, commit: str | None = None) -> Any:
        """Register a version that was made from a commit, with a model of its own."""
        model = self.folder.parent / f"model-{os.urandom(4).hex()}"
        model.mkdir()
        (model / "model.skops").write_text(MODEL)
        tags = {
            "git_commit": commit or self.git("rev-parse", "HEAD"),
            "git_author": ADA,
            "git_dirty": "false",
            "data_hash": "d" * 32,
            "params_hash": "e" * 64,
            "model_file": hashlib.sha256(MODEL.encode()).hexdigest(),
        }
        client, name = registry.client(), registry.model_name()
        run = client.create_run("0", tags=tags).info.run_id
        made = client.create_model_version(name, model.as_uri(), run, tags=tags)
        digest = versions.model_digest(made)
        client.set_tag(run, versions.MODEL_HASH, digest)
        client.set_model_version_tag(name, made.version, versions.MODEL_HASH, digest)
        return registry.version(str(made.version))

    def record(self, version: Any, validator: str = VERA, **changes: Any) -> None:
        """Write the record of a version's validation."""
        name, _, address = validator.partition(" <")
        record = APPROVED | {
            "model": version.name,
            "version": int(version.version),
            "git_commit": version.tags["git_commit"],
            "data_hash": version.tags["data_hash"],
            "validator": {"name": name, "email": address.rstrip(">")},
        }
        path = self.folder / validation.RECORDS / f"{version.name}-{version.version}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(record | changes))

    def approve(self, version: Any, validator: str = VERA) -> int:
        """Write the record and type `poe approve`; return the exit code."""
        self.record(version, validator)
        return approve.main([str(version.version), "--key", self.key(validator)])

    def judge(self, verdict: Verdict) -> None:
        """Let the gate say this of every version."""
        self.patch.setattr(rejudge, "verdict", lambda version, signing=False: verdict)

    def resign(self, version: Any, validator: str = VERA, **changes: Any) -> None:
        """Sign another statement about a version."""
        path = validation.approval_path(version)
        content = json.loads(path.read_text()) | changes
        signed_approval.write(path, content, self.key(validator))


def new_desk(tmp_path: Path, monkeypatch: Patch) -> Desk:
    """Ada has committed a model; Vera may approve; the gate lets every version pass."""
    folder = tmp_path / "project"
    (folder / "governance").mkdir(parents=True)
    made = Desk(folder, monkeypatch)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("RELEASES", str(tmp_path / "releases"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "no"))
    moved(monkeypatch, validation, root=folder)
    monkeypatch.setattr(rules, "rules_file", lambda: folder / "ops/gate.toml")
    monkeypatch.setattr(rules, "verdict_file", lambda: tmp_path / "gate.json")
    moved(monkeypatch, reports=folder / "reports")
    made.judge(PASSED)
    inventory = {"models": [{"name": registry.model_name(), "developer": "Credit modelling"}]}
    (folder / validation.INVENTORY).write_text(yaml.safe_dump(inventory))
    plan.path(folder).write_text("approval: {valid_days: 30}\n")
    made.git("init", "-q", "-b", "main")
    made.allow(VERA)
    made.write({"src/credit/model.py": "C = 1\n", "ops/gate.toml": "[gate]\n"})
    made.write({"params.toml": PARAMS})
    made.commit(ADA)
    return made
