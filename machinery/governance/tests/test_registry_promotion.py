"""No version becomes champion, or champion again, without a validation that approves of it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
import yaml

from machinery.governance.tests import conftest
from machinery.governance.tests.conftest import Capture, Patch, Refusal
from machinery.tests.projects import moved
from rung_governance.approval import registry_champion, rejudge, validation
from rung_governance.approval.registry_champion import champion, promote, rollback
from rung_governance.documents import records
from rung_ops.gate.verdict import Verdict
from rung_ops.project import current
from rung_ops.tracking import registry

COMMIT, DATA = "ab" * 20, "cd" * 16
TAGS = {"git_commit": COMMIT, "data_hash": DATA, "git_author": "Ada Lovelace <ada@example.org>"}
APPROVED = conftest.APPROVED | {"git_commit": COMMIT, "data_hash": DATA}


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with three versions, made once: MLflow takes a second to make one."""
    made = tmp_path_factory.mktemp("registry") / "mlflow.db"
    with Patch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{made}")
        client, name = registry.client(), registry.model_name()
        client.create_registered_model(name)
        for _ in range(3):
            client.create_model_version(name, (made.parent / "model").as_uri(), tags=TAGS)
    return made


@pytest.fixture
def project(registered: Path, tmp_path: Path, monkeypatch: Patch) -> Path:
    """A registry with three versions, none of them champion, nor approved."""
    shutil.copy(registered, tmp_path / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    moved(monkeypatch, validation, root=tmp_path)
    # Without these rows the gate is not run again; an ejected project has them.
    moved(monkeypatch, test=tmp_path / "test.parquet")
    (tmp_path / validation.RECORDS).mkdir(parents=True)
    inventory(tmp_path, registry.model_name(), "Ada Lovelace")
    return tmp_path


def inventory(project: Path, model: str, developer: str) -> None:
    content = {"models": [{"name": model, "developer": developer}]}
    (project / validation.INVENTORY).write_text(yaml.safe_dump(content), encoding="utf-8")


def record(project: Path, number: int, **changes: Any) -> None:
    """Write the record of a version's validation."""
    name = registry.model_name()
    content = {"model": name, "version": number} | APPROVED | changes
    path = project / validation.RECORDS / f"{name}-{number}.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")


def refused(refusal: Refusal) -> str:
    """Try to promote version 1; return why it is refused."""
    output = refusal(promote, "1")
    assert champion() is None
    return output


def test_an_approved_version_becomes_champion(project: Path) -> None:
    record(project, 1)
    assert promote(["1"]) == 0
    assert champion() == "1"
    assert records.champion_objections()[0] == []


def test_where_the_rows_are_the_gate_is_run_again(
    project: Path, monkeypatch: Patch, refusal: Refusal
) -> None:
    record(project, 1)
    worse = Verdict(False, ["worse than the champion"], {}, challenger={"version": "1"})
    monkeypatch.setattr(rejudge, "verdict", lambda asked: worse)
    current().test.touch()

    assert "- worse than the champion" in refused(refusal)


def test_the_text_of_the_example_does_not_become_champion(project: Path, refusal: Refusal) -> None:
    record(project, 1)
    (project / "docs").mkdir()
    shutil.copy(current().root / "docs/use_case.md", project / "docs")
    assert "- docs/use_case.md:" in refused(refusal)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (None, "-1.yaml does not exist"),
        ({"decision": "rejected"}, "has rejected this version"),
        ({"git_commit": "f" * 40}, "the record names git_commit"),
        ({"data_hash": "0" * 32}, "the record names data_hash"),
        ({"model": "another"}, "the record is about another"),
        ({"validator": {"name": "A. L.", "email": "ADA@example.org"}}, "developed the model"),
        ({"validator": {"name": "ada lovelace", "email": "a@b.org"}}, "developed the model"),
        ({"limitations": ""}, "limitations"),
        ({"decision": "maybe"}, "decision"),
        ({"outcomes_analysis": "TODO: run the figures again"}, "placeholder"),
    ],
)
def test_a_record_that_does_not_approve_is_refused(
    project: Path, changes: dict[str, Any] | None, reason: str, refusal: Refusal
) -> None:
    record(project, 2)  # which does not serve
    if changes is not None:
        record(project, 1, **changes)
    assert reason in refused(refusal)


@pytest.mark.parametrize(
    ("model", "developer", "reason"),
    [
        ("", "Vera Valid", "vera@example.org> developed the model"),
        ("another", "Ada Lovelace", "names no developer"),
    ],
)
def test_what_the_inventory_says_of_the_developer_counts(
    project: Path, model: str, developer: str, reason: str, refusal: Refusal
) -> None:
    inventory(project, model or registry.model_name(), developer)
    record(project, 1)
    assert reason in refused(refusal)


@pytest.mark.parametrize("tag", TAGS)
def test_a_version_that_does_not_say_where_it_is_from_is_refused(
    project: Path, tag: str, refusal: Refusal
) -> None:
    registry.client().delete_model_version_tag(registry.model_name(), "1", tag)
    record(project, 1)
    assert f"has no tag {tag}" in refused(refusal)


def test_a_version_of_uncommitted_files_is_refused(project: Path, refusal: Refusal) -> None:
    registry.client().set_model_version_tag(registry.model_name(), "1", "git_dirty", "true")
    record(project, 1)
    assert "files that differ from its commit" in refused(refusal)


def test_two_records_of_one_version_are_refused(project: Path, refusal: Refusal) -> None:
    record(project, 1)
    path = validation.record_paths(registry.version("1"))[0]
    shutil.copy(path, path.with_suffix(".md"))
    assert "are records of one version" in refused(refusal)


def test_an_alias_set_past_the_gate_is_found(project: Path) -> None:
    registry.client().set_registered_model_alias(registry.model_name(), "champion", "1")
    (problem,), unseen = records.champion_problems()
    assert "alias champion: " in str(problem) and "there is no validation" in str(problem)
    assert unseen == ""


def test_an_unreachable_registry_is_reported_and_is_not_a_problem(
    monkeypatch: Patch, capsys: Capture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr(records, "problems", lambda root: [])

    assert records.main([]) == 0

    output = capsys.readouterr()
    assert "was not checked" in output.err and "connection refused" in output.err
    assert "records: no faults" in output.out


def test_a_store_that_is_not_there_is_not_made_to_look_at_it(
    monkeypatch: Patch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    assert records.champion_problems() == ([], "")
    assert not (tmp_path / "mlflow.db").exists()


@pytest.fixture
def approved(project: Path) -> Path:
    """All three versions are approved."""
    for number in (1, 2, 3):
        record(project, number)
    return project


def promoted(*versions: str) -> None:
    for version in versions:
        assert promote([version]) == 0


def test_each_step_goes_one_champion_further_back(approved: Path) -> None:
    promoted("1", "3", "2", "2")

    assert rollback(["--reason", "refuses everybody"]) == 0
    assert champion() == "3"
    assert registry.version("2").tags[registry_champion.ROLLED_BACK].endswith("refuses everybody")
    assert registry_champion.restore_previous("", source="3") == ("3", "1")


def test_several_people_who_answer_one_alert_go_back_once(approved: Path, refusal: Refusal) -> None:
    promoted("1", "2", "3")

    assert rollback([]) == 0
    assert "`uv run poe rollback --from 2`" in refusal(rollback)
    assert "Version 3 is not champion, 2 is" in refusal(rollback, "--from", "3")
    assert champion() == "2"


@pytest.mark.parametrize(
    ("before", "reason"), [([], "There is no champion"), (["1"], "Version 1 is the first champion")]
)
def test_the_first_champion_has_none_before_it(
    approved: Path, before: list[str], reason: str, refusal: Refusal
) -> None:
    promoted(*before)
    assert reason in refusal(rollback)
    assert champion() == (before[0] if before else None)


@pytest.mark.parametrize("what", ["rejected", "deleted"])
def test_a_version_whose_approval_was_withdrawn_or_that_is_gone_does_not_come_back(
    approved: Path, what: str, refusal: Refusal
) -> None:
    promoted("1", "2")
    if what == "rejected":
        record(approved, 1, decision="rejected")
        reason = "has rejected this version"
    else:
        registry.client().delete_model_version(registry.model_name(), "1")
        reason = "Version 1, the champion before, is gone"

    assert reason in refusal(rollback)
    assert champion() == "2"


def test_a_version_that_was_taken_back_can_be_promoted_again(approved: Path) -> None:
    promoted("1", "2")
    registry_champion.restore_previous("")
    promoted("2")

    assert registry_champion.predecessors() == ["1"]
    assert registry_champion.restore_previous("") == ("2", "1")


@pytest.mark.parametrize("write", ["set_registered_model_alias", "set_registered_model_tag"])
@pytest.mark.parametrize("command", [lambda: promote(["2"]), lambda: rollback([])])
def test_a_kill_between_two_writes_loses_no_champion(
    approved: Path, write: str, command: Callable[[], int], monkeypatch: Patch
) -> None:
    promoted("1", "3")

    def killed(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(mlflow.tracking.MlflowClient, write, killed)
        with pytest.raises(KeyboardInterrupt):
            command()
    before = champion()
    promoted("2")

    assert before in {"1", "3"}
    assert registry_champion.restore_previous("")[1] == before
