"""An environment of its own for each test, keys that sign its audit log, and a registry."""

import importlib
import json
import os
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from machinery.tests.conftest import (
    FACTS,
    Capture,
    Patch,
    Trained,
    release_folder,
    release_key,
    release_private_key,
    row,
    trained,
)
from machinery.tests.projects import moved
from rung_governance.approval import audit, deploy, keys, plan, served_model, validation
from rung_ops.gate import rules as gate_rules
from rung_ops.project import current, keyless, paths
from rung_ops.release import history, state

if TYPE_CHECKING:
    from machinery.governance.tests.signing import Desk

__all__ = ["Capture", "Patch"]  # types, and fixtures:
__all__ += ["release_folder", "release_key", "release_private_key", "row", "trained"]
COMMIT = "ab" * 20
APPROVED: dict[str, Any] = {
    "model": FACTS["model"],
    "git_commit": FACTS["git_commit"],
    "data_hash": FACTS["data_hash"],
    "validator": {"name": "Vera Valid", "email": "vera@example.org"},
    "date": date.today().isoformat(),
    "conceptual_soundness": "The method fits the question that is asked.",
    "outcomes_analysis": "The figures were computed again and agree.",
    "limitations": "The sample is small; see the model card.",
    "evidence": ["reports/metrics.json of the run"],
    "findings": [],
    "decision": "approved",
}


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Write a private key as PEM text."""
    kind, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, kind, plain)


def public_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Write the public half of a key as PEM text."""
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, kind)


@pytest.fixture(scope="session")
def signing_key() -> ec.EllipticCurvePrivateKey:
    """The key that signs the audit log."""
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(autouse=True)
def same_process(request: pytest.FixtureRequest, monkeypatch: Patch) -> None:
    """Call what needs no key in this process, where the test can replace its parts.

    The tests that are marked `own_process` start another one, as a project does.
    """
    if request.node.get_closest_marker("own_process"):
        return

    def call(
        function: str, *arguments: Any, raises: object = (), kept: Collection[str] = ()
    ) -> Any:
        module, _, name = function.partition(":")
        callee = getattr(importlib.import_module(module), name)
        with Patch.context() as patch:
            for withheld in os.environ.keys() - keyless.environment(kept).keys():
                patch.delenv(withheld)
            return json.loads(json.dumps(callee(*json.loads(json.dumps(arguments)))))

    monkeypatch.setattr(keyless, "call", call)


@pytest.fixture
def production(tmp_path: Path, signing_key: ec.EllipticCurvePrivateKey, monkeypatch: Patch) -> Path:
    """The folder of an environment in which nothing has happened yet."""
    monkeypatch.setenv("RELEASES", str(tmp_path / "releases"))
    monkeypatch.setenv("LOGS", str(tmp_path / "logs"))
    monkeypatch.setenv("SERVICE_ENVIRONMENT", "production")
    monkeypatch.setenv(keys.VARIABLE, pem(signing_key).decode())
    public = tmp_path / "audit.pub"
    public.write_bytes(public_pem(signing_key))
    monkeypatch.setattr(keys, "public_key_file", lambda: public)
    monkeypatch.setattr(keys, "private_key_file", lambda: tmp_path / "no.pem")
    return tmp_path / "releases/production"


@pytest.fixture(scope="session")
def registry_store(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a registry that holds this project's model as version 1."""
    from rung_ops.project.paths import params
    from rung_ops.tracking import registry
    from rung_ops.tracking.record_run import flat
    from rung_ops.training import estimator

    place = tmp_path_factory.mktemp("mlflow")
    address = f"sqlite:///{place / 'mlflow.db'}"
    model = place / "model"
    estimator.save(trained.estimator, model / "model.skops")
    with Patch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", address)
        client = registry.client()
        experiment = client.create_experiment("e", artifact_location=(place / "runs").as_uri())
        run = client.create_run(experiment).info.run_id
        for name, value in flat(params()).items():
            client.log_param(run, name, str(value))
        client.log_artifacts(run, str(current().root / "src"), "code")
        client.create_registered_model(registry.model_name())
        tags = {"git_commit": COMMIT, "git_author": "Ada <ada@example.org>", "data_hash": "cd" * 16}
        client.create_model_version(
            registry.model_name(), model.as_uri(), run, tags=tags | {"git_dirty": "false"}
        )
    return address


@pytest.fixture(scope="session")
def two_releases(
    release_folder: Path, release_private_key: bytes, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """Two signed releases of this project's model, of versions 1 and 2."""
    from rung_ops.model import bundle
    from rung_ops.release import make, signing

    manifest = bundle.read_manifest(release_folder)
    name = bundle.release_id("2", manifest["git_commit"], manifest["data_hash"])
    second = tmp_path_factory.mktemp("second") / name
    shutil.copytree(release_folder, second)
    (second / bundle.SIGNATURE).unlink()
    later = {"id": name, "version": "2", "created": "2099-01-01T00:00:00+00:00"}
    make.write_json(second / bundle.MANIFEST, manifest | later)
    signing.sign(second, release_private_key)
    return release_folder, second


def edit_state(folder: Path, **changes: object) -> None:
    """Change state.json in its place, as with an editor."""
    path = folder / state.STATE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@dataclass
class Releases:
    """Production with two candidates, in a project without verdicts or approvals."""

    folder: Path  # of production
    project: Path
    first: str
    second: str

    def judge(self, version: str, against: str | None = None, **changes: Any) -> None:
        """Write the gate's verdict on a version against a release; changes replace a part."""
        verdict = {
            "promote": True,
            "reasons": [],
            "awaits": [],
            "figures": {"metric": "auc", "challenger": 0.79, "plan": plan.digest()},
            "notes": [],
            "challenger": FACTS | {"version": version},
            "champion": {"release": against} if against else None,
            "at": "2026-01-31T12:00:00+00:00",
        }
        (self.project / "gate.json").write_text(json.dumps(verdict | changes), encoding="utf-8")

    def approve(self, version: str, /, **changes: Any) -> None:
        """Write the record of a version's validation; changes replace a part."""
        path = self.project / validation.RECORDS / f"{FACTS['model']}-{version}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        record = {"version": int(version)} | APPROVED | changes
        path.write_text(yaml.safe_dump(record), encoding="utf-8")

    def deploy_first(self) -> None:
        """Let the first release, judged and approved, wait for its promotion."""
        self.judge("1")
        self.approve("1")
        assert deploy.main(["production", self.first]) == 0

    def install(self, release: str) -> None:
        bundle = self.folder / "bundles" / release
        shutil.copytree(paths.candidates() / release, bundle)

    def serve(self, *releases: str) -> None:
        """Let releases answer, one after the other, in a signed log."""
        for release in releases:
            with audit.signed(self.folder):
                state.serve(self.folder, release, "Ada")

    @property
    def now(self) -> state.State:
        return state.read(self.folder)

    @property
    def events(self) -> list[dict[str, Any]]:
        return history.read(self.folder / state.HISTORY)

    @property
    def names(self) -> list[str]:
        """The names of the events, the oldest first."""
        return [event["event"] for event in self.events]


@pytest.fixture
def releases(
    two_releases: tuple[Path, Path],
    production: Path,
    release_key: bytes,
    tmp_path: Path,
    monkeypatch: Patch,
) -> Releases:
    """Production with two candidates; the registry is out of reach."""
    for folder in two_releases:
        shutil.copytree(folder, paths.candidates() / folder.name)
    (tmp_path / "release.pub").write_bytes(release_key)
    monkeypatch.setenv("RELEASE_KEY", str(tmp_path / "release.pub"))
    monkeypatch.setattr(gate_rules, "verdict_file", lambda: tmp_path / "gate.json")
    moved(monkeypatch, validation, root=tmp_path)
    # test_rejudge.py runs the gate again, test_served_model.py exports the model again.
    monkeypatch.setattr(deploy, "rejudged", lambda manifest: [])
    monkeypatch.setattr(served_model, "differences", lambda path: [])
    for name, value in (
        ("MLFLOW_TRACKING_URI", "http://127.0.0.1:9"),
        ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0"),
        ("MLFLOW_HTTP_REQUEST_TIMEOUT", "5"),
    ):
        monkeypatch.setenv(name, value)
    inventory = {"models": [{"name": FACTS["model"], "developer": "Ada Lovelace"}]}
    (tmp_path / "governance").mkdir()
    (tmp_path / "governance/model_inventory.yaml").write_text(yaml.safe_dump(inventory))
    return Releases(production, tmp_path, two_releases[0].name, two_releases[1].name)


Refusal = Callable[..., str]


@pytest.fixture
def refusal(capsys: Capture) -> Refusal:
    """Types a command that has to be refused; returns what it says."""

    def typed(command: Callable[[list[str]], int], *words: object) -> str:
        capsys.readouterr()
        assert command([str(word) for word in words]) == 1
        return capsys.readouterr().err

    return typed


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry that knows the model and no version of it, made once: that takes seconds."""
    from rung_ops.tracking import registry

    made = tmp_path_factory.mktemp("registry") / "mlflow.db"
    with Patch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{made}")
        registry.client().create_registered_model(registry.model_name())
    return made


@pytest.fixture
def desk(empty_registry: Path, tmp_path: Path, monkeypatch: Patch) -> "Desk":
    """Ada has committed a model; Vera may approve; the gate lets every version pass."""
    from machinery.governance.tests.signing import new_desk

    shutil.copy(empty_registry, tmp_path / "mlflow.db")
    return new_desk(tmp_path, monkeypatch)
