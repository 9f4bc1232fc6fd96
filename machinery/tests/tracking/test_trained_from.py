"""A run is recorded of what the model was trained from, or not at all, and DVC has a record of it."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from machinery.tests.conftest import Patch, RunVerb
from machinery.tests.projects import moved
from rung_ops.data import dvc
from rung_ops.errors import StageError
from rung_ops.project import current
from rung_ops.system import git
from rung_ops.tracking import last_run, record_run

# As `dvc status --json` printed it.
STATUS = {
    "train": [
        {"changed deps": {"src": "modified", "params.toml": {"model.C": "modified"}}},
        "changed command",
    ],
    "evaluate": [{"changed deps": {"src": "modified"}}],
}


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: Patch) -> list[tuple[str, ...]]:
    """A project whose lock names the stages that wrote model and figures; what DVC is asked."""
    stages = {
        "split": {"outs": [{"path": "data/test.parquet"}]},
        "train": {"outs": [{"path": "model/model.skops"}]},
        "judge": {"outs": [{"path": "reports/metrics.json"}]},
    }
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"stages": stages}))
    moved(monkeypatch, last_run, root=tmp_path)
    return []


def answer(monkeypatch: Patch, asked: list[tuple[str, ...]], code: int, text: str) -> None:
    def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        asked.append(arguments)
        return subprocess.CompletedProcess(arguments, code, text, "dvc is locked")

    monkeypatch.setattr(dvc, "run", run)


@pytest.mark.tried(
    "Train, restore `params.toml` or `src/`, and record the run again",
    "`rung-ops track` refuses: DVC's lock says what the model was trained from",
)
def test_nothing_is_recorded_of_a_model_that_was_trained_from_something_else(
    asked: list[tuple[str, ...]], monkeypatch: Patch, run_verb: RunVerb
) -> None:
    answer(monkeypatch, asked, 0, json.dumps(STATUS))
    monkeypatch.setattr(record_run, "origin", dict)
    monkeypatch.setattr(record_run, "record", lambda tags: pytest.fail("recorded"))

    code, output = run_verb(record_run.main)

    assert code == 1
    changes = "changed command, model.C in params.toml, src"
    assert f"since the model was trained, {changes}" in output
    assert asked == [("status", "--json", "judge", "train")]


def test_what_differs_from_a_version_is_named_with_the_command(monkeypatch: Patch) -> None:
    monkeypatch.setattr(last_run, "params_hash", lambda: "a0")
    monkeypatch.setattr(last_run.bundle, "source_hash_of_folder", lambda *_: "b0")
    version = {"version": "1", "params_hash": "a0", "source_hash": "b0"}

    (sentence,) = last_run.newer(version | {"source_hash": "b1"})

    assert sentence.startswith("src/ changed since version 1 was made: `uv run poe pipeline`")
    assert last_run.newer(version) == last_run.newer({"version": "1"}) == []


def test_what_dvc_does_not_tell_is_an_error(
    asked: list[tuple[str, ...]], monkeypatch: Patch
) -> None:
    answer(monkeypatch, asked, 1, "")

    with pytest.raises(StageError, match="dvc is locked"):
        last_run.changes_since_training()


def test_without_dvc_lock_dvc_is_not_run(
    asked: list[tuple[str, ...]], monkeypatch: Patch, tmp_path: Path
) -> None:
    answer(monkeypatch, asked, 0, json.dumps(STATUS))
    (tmp_path / "dvc.lock").unlink()

    assert last_run.changes_since_training() == [] == asked


def test_gits_index_is_not_written_anew_for_which_a_full_disk_has_no_room(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    moved(monkeypatch, last_run, root=tmp_path, rows=tmp_path / "rows")
    for name in ("params.toml", "dvc.yaml", "rows"):
        (tmp_path / name).write_text("")
    ada = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    for words in (["init"], ["add", "--all"], [*ada, "commit", "--message=Start"]):
        git.output(tmp_path, *words)
    index = tmp_path / ".git/index"
    os.utime(tmp_path / "rows", (1, 1))  # git looks at it again, and would note that it is the same
    before = index.read_bytes()

    assert last_run.origin()["git_dirty"] == "false"
    assert index.read_bytes() == before


def test_what_a_release_holds_makes_a_version() -> None:
    stage = yaml.safe_load((current().root / "dvc.yaml").read_text())["stages"]["track"]

    assert {"src", "model/model.skops", "model/refit", "data/rows.parquet"} <= set(stage["deps"])


def test_a_change_of_any_parameter_is_recorded_as_another_version(tmp_path: Path) -> None:
    """Else the version names a commit whose params.toml judges it in another way."""
    stages = yaml.safe_load((current().repository / "dvc.yaml").read_text())["stages"]
    recording = {"cmd": "echo 1 > run.json", "params": stages["track"]["params"]}
    recording["outs"] = [{"run.json": {"cache": False}}]
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"track": recording}}))
    parameters = tmp_path / "params.toml"
    parameters.write_text("seed = 1\n[fairness]\nthreshold = 0.5\n[split]\n[model]\n[score]\n")
    for words in (("init", "--no-scm", "--quiet"), ("repro", "--quiet")):
        assert dvc.run(tmp_path, *words).returncode == 0

    assert json.loads(dvc.run(tmp_path, "status", "--json").stdout) == {}
    parameters.write_text(parameters.read_text().replace("0.5", "0.4"))
    assert "track" in json.loads(dvc.run(tmp_path, "status", "--json").stdout)


@pytest.mark.parametrize("before", [{}, {"run_id": "a0", "model": "late", "version": "2"}])
def test_what_dvc_refuses_is_reported_with_its_reason_and_rolled_back(
    tmp_path: Path, monkeypatch: Patch, before: dict[str, str]
) -> None:
    for command in (["git", "init", "--quiet"], ["dvc", "init", "--quiet"]):
        subprocess.run(command, cwd=tmp_path, check=True)
    moved(monkeypatch, last_run, root=tmp_path)
    monkeypatch.setattr(last_run, "run_file", lambda: tmp_path / "reports/run.json")

    if before:
        last_run.write(**before)

    with pytest.raises(StageError, match="with version 3.*'dvc.yaml' does not exist"):
        last_run.write_and_commit("a1", "late", "3")

    assert last_run.read() == before
