"""No version becomes champion without an independent validation that approves of it."""

import shutil
from pathlib import Path
from typing import Any

import mlflow
import pytest
import yaml
from sklearn.dummy import DummyClassifier

from machinery.governance.tests import conftest
from machinery.tests.projects import moved
from rung_governance.approval import registry_champion, rejudge, validation
from rung_governance.documents import records
from rung_ops.gate.verdict import Verdict
from rung_ops.project import current
from rung_ops.tracking import registry

COMMIT, DATA = "ab" * 20, "cd" * 16
AUTHOR = "Ada Lovelace <ada@example.org>"
APPROVED = conftest.APPROVED | {"git_commit": COMMIT, "data_hash": DATA}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A real MLflow store with a tiny model: the store's address, the model's."""
    folder = tmp_path_factory.mktemp("mlflow")
    address = f"sqlite:///{folder / 'mlflow.db'}"
    mlflow.set_tracking_uri(address)
    experiment = mlflow.create_experiment("tiny", artifact_location=(folder / "runs").as_uri())
    with mlflow.start_run(experiment_id=experiment):
        tiny = DummyClassifier().fit([[0], [1]], [0, 1])
        logged = mlflow.sklearn.log_model(tiny, name="model", pip_requirements=["scikit-learn"])
    return address, logged.model_uri


@pytest.fixture
def version(store: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A fresh version in the registry, in a project without records; its number."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store[0])
    moved(monkeypatch, validation, root=tmp_path)
    moved(monkeypatch, test=tmp_path / "test.parquet")  # not made yet
    client, name = registry.client(), registry.model_name()
    write_inventory(name, "Ada Lovelace")
    if not client.search_registered_models(f"name='{name}'"):
        client.create_registered_model(name)
    client.delete_registered_model_alias(name, "champion")
    tags = {"git_commit": COMMIT, "data_hash": DATA, "git_author": AUTHOR}
    return str(client.create_model_version(name, store[1], tags=tags).version)


def write_inventory(model: str, developer: str) -> None:
    inventory = {"models": [{"name": model, "developer": developer}]}
    path = validation.current().root / "governance/model_inventory.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(inventory), encoding="utf-8")


def write_record(version: str, /, **changes: Any) -> None:
    record = {"model": registry.model_name(), "version": int(version)} | APPROVED | changes
    path = (
        validation.current().root / f"governance/validation/{registry.model_name()}-{version}.yaml"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(record), encoding="utf-8")


def champion() -> str | None:
    name = registry.model_name()
    aliases = registry.client().get_registered_model(name).aliases
    return str(aliases["champion"]) if "champion" in aliases else None


def test_an_approved_version_becomes_champion(version: str) -> None:
    write_record(version)

    assert registry_champion.promote([version]) == 0
    assert champion() == version
    assert records.champion_objections()[0] == []


def test_where_the_rows_are_the_gate_is_run_again(
    version: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_record(version)
    worse = Verdict(False, ["worse than the champion"], {}, challenger={"version": version})
    monkeypatch.setattr(rejudge, "verdict", lambda asked: worse)
    current().test.touch()

    assert registry_champion.promote([version]) == 1
    assert champion() is None
    assert "- worse than the champion" in capsys.readouterr().err


def test_the_text_of_the_example_does_not_become_champion(
    version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_record(version)
    (validation.current().root / "docs").mkdir()
    shutil.copy(current().root / "docs/use_case.md", validation.current().root / "docs")

    assert registry_champion.promote([version]) == 1
    assert champion() is None
    assert "- docs/use_case.md:" in capsys.readouterr().err


def test_a_version_without_a_record_is_refused(
    version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert registry_champion.promote([version]) == 1
    assert champion() is None
    assert f"-{version}.yaml does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"decision": "rejected"}, "has rejected this version"),
        ({"git_commit": "f" * 40}, "the record names git_commit"),
        ({"data_hash": "0" * 32}, "the record names data_hash"),
        ({"version": 999}, "the record is about"),
        ({"model": "another"}, "the record is about another"),
        ({"validator": {"name": "A. L.", "email": "ADA@example.org"}}, "developed the model"),
        ({"validator": {"name": "ada lovelace", "email": "a@b.org"}}, "developed the model"),
        ({"limitations": ""}, "limitations"),
        ({"decision": "maybe"}, "decision"),
        ({"outcomes_analysis": "TODO: run the figures again"}, "placeholder"),
    ],
)
def test_a_record_that_does_not_approve_is_refused(
    version: str, changes: dict[str, Any], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_record(version, **changes)

    assert registry_champion.promote([version]) == 1
    assert champion() is None
    assert reason in capsys.readouterr().err


def test_the_developer_of_the_inventory_is_refused(
    version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_inventory(registry.model_name(), "Vera Valid")
    write_record(version)

    assert registry_champion.promote([version]) == 1
    assert "vera@example.org> developed the model" in capsys.readouterr().err


def test_a_model_that_is_not_in_the_inventory_is_refused(
    version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_inventory("another", "Ada Lovelace")
    write_record(version)

    assert registry_champion.promote([version]) == 1
    assert "names no developer" in capsys.readouterr().err


@pytest.mark.parametrize("tag", ["git_commit", "data_hash", "git_author"])
def test_a_version_that_does_not_say_where_it_is_from_is_refused(version: str, tag: str) -> None:
    registry.client().delete_model_version_tag(registry.model_name(), version, tag)
    write_record(version)

    assert registry_champion.promote([version]) == 1
    assert champion() is None


def test_a_version_of_uncommitted_files_is_refused(
    version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.client().set_model_version_tag(registry.model_name(), version, "git_dirty", "true")
    write_record(version)

    assert registry_champion.promote([version]) == 1
    assert "files that differ from its commit" in capsys.readouterr().err


def test_the_record_of_another_version_does_not_serve(version: str) -> None:
    write_record(str(int(version) + 1))

    assert registry_champion.promote([version]) == 1
    assert champion() is None


def test_two_records_of_one_version_are_refused(version: str) -> None:
    write_record(version)
    record = validation.record_paths(registry.version(version))[0]
    shutil.copy(record, record.with_suffix(".md"))

    assert registry_champion.promote([version]) == 1
    assert champion() is None


def test_a_version_that_does_not_exist_is_refused(version: str) -> None:
    assert registry_champion.promote(["4711"]) == 1


def test_an_alias_set_past_the_gate_is_found(version: str) -> None:
    registry.client().set_registered_model_alias(registry.model_name(), "champion", version)

    problem, unseen = records.champion_problems()

    assert "alias champion: " in str(problem[0]) and "there is no validation" in str(problem[0])
    assert unseen == ""


def test_an_unreachable_registry_is_reported_and_is_not_a_problem(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr(records, "problems", lambda root: [])

    assert records.main([]) == 0

    output = capsys.readouterr()
    assert "was not checked" in output.err and "connection refused" in output.err
    assert "records: complete" in output.out


def test_a_store_that_is_not_there_is_not_made_to_look_at_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")

    assert records.champion_problems() == ([], "")
    assert not (tmp_path / "mlflow.db").exists()
