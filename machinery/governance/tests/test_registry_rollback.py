"""The champion before comes back in one step, unless its approval no longer holds."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
import yaml

from machinery.governance.tests import conftest
from machinery.tests.projects import moved
from rung_governance.approval import registry_champion, validation
from rung_ops.tracking import registry

COMMIT, DATA = "ab" * 20, "cd" * 16
TAGS = {"git_commit": COMMIT, "data_hash": DATA, "git_author": "Ada Lovelace <ada@example.org>"}
APPROVED = conftest.APPROVED | {"git_commit": COMMIT, "data_hash": DATA}


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with three versions, made once: MLflow takes a second to make one."""
    made = tmp_path_factory.mktemp("registry") / "mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{made}")
        client, name = registry.client(), registry.model_name()
        client.create_registered_model(name)
        for _ in range(3):
            client.create_model_version(name, (made.parent / "model").as_uri(), tags=TAGS)
    return made


@pytest.fixture
def project(registered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry with three approved versions, none of them champion."""
    shutil.copy(registered, tmp_path / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    moved(monkeypatch, validation, root=tmp_path)
    # Without these rows the gate is not run again; an ejected project has them.
    moved(monkeypatch, test=tmp_path / "test.parquet")
    (tmp_path / validation.RECORDS).mkdir(parents=True)
    inventory = {"models": [{"name": registry.model_name(), "developer": "Ada Lovelace"}]}
    (tmp_path / validation.INVENTORY).write_text(yaml.safe_dump(inventory), encoding="utf-8")
    for version in (1, 2, 3):
        record(tmp_path, version)
    return tmp_path


def record(project: Path, version: int, **changes: Any) -> None:
    name = registry.model_name()
    content = {"model": name, "version": version} | APPROVED | changes
    path = project / validation.RECORDS / f"{name}-{version}.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")


def promoted(*versions: str) -> None:
    for version in versions:
        assert registry_champion.promote([version]) == 0


def test_the_champion_before_comes_back(project: Path) -> None:
    promoted("1", "2")

    assert registry_champion.rollback(["--reason", "refuses everybody"]) == 0
    assert registry_champion.champion() == "1"
    assert registry.version("2").tags[registry_champion.ROLLED_BACK].endswith("refuses everybody")


def test_each_step_goes_one_champion_further_back(project: Path) -> None:
    promoted("1", "3", "2", "2")

    assert registry_champion.restore_previous("") == ("2", "3")
    assert registry_champion.restore_previous("", source="3") == ("3", "1")


def test_several_people_who_answer_one_alert_go_back_once(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    promoted("1", "2", "3")

    codes = [registry_champion.rollback(words) for words in ([], [], ["--from", "3"])]

    assert codes == [0, 1, 1]
    assert registry_champion.champion() == "2"
    refused = capsys.readouterr().err
    assert "`uv run poe rollback --from 2`" in refused
    assert "Version 3 is not champion, 2 is" in refused


def test_the_first_champion_has_none_before_it(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    promoted("1")

    assert registry_champion.rollback([]) == 1
    assert registry_champion.champion() == "1"
    assert "Version 1 is the first champion" in capsys.readouterr().err


def test_without_a_champion_there_is_nothing_to_go_back_from(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert registry_champion.rollback([]) == 1
    assert "There is no champion" in capsys.readouterr().err


def test_a_version_whose_approval_was_withdrawn_does_not_come_back(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    promoted("1", "2")
    record(project, 1, decision="rejected")

    assert registry_champion.rollback([]) == 1
    assert registry_champion.champion() == "2"
    assert "has rejected this version" in capsys.readouterr().err


def test_a_version_that_was_deleted_does_not_come_back(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    promoted("1", "2")
    registry.client().delete_model_version(registry.model_name(), "1")

    assert registry_champion.rollback([]) == 1
    assert "Version 1, the champion before, is gone" in capsys.readouterr().err


def test_a_version_that_was_taken_back_can_be_promoted_again(project: Path) -> None:
    promoted("1", "2")
    registry_champion.restore_previous("")
    promoted("2")

    assert registry_champion.predecessors() == ["1"]
    assert registry_champion.restore_previous("") == ("2", "1")


@pytest.mark.parametrize("write", ["set_registered_model_alias", "set_registered_model_tag"])
@pytest.mark.parametrize(
    "command", [lambda: registry_champion.promote(["2"]), lambda: registry_champion.rollback([])]
)
def test_a_kill_between_two_writes_loses_no_champion(
    project: Path, write: str, command: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    promoted("1", "3")

    def killed(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(mlflow.tracking.MlflowClient, write, killed)
        with pytest.raises(KeyboardInterrupt):
            command()
    champion = registry_champion.champion()
    promoted("2")

    assert champion in {"1", "3"}
    assert registry_champion.restore_previous("")[1] == champion
