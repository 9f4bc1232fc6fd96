"""The origin of a model is read, and nothing is written for it."""

import json
import os
from pathlib import Path

import pytest
import yaml

from machinery.tests.projects import moved
from rung_ops.data import dvc
from rung_ops.project import current
from rung_ops.system import git
from rung_ops.tracking import source_state


def test_gits_index_is_not_written_anew_for_which_a_full_disk_has_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved(monkeypatch, source_state, root=tmp_path, rows=tmp_path / "rows")
    for name in ("params.toml", "dvc.yaml", "rows"):
        (tmp_path / name).write_text("")
    ada = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    for words in (["init"], ["add", "--all"], [*ada, "commit", "--message=Start"]):
        git.output(tmp_path, *words)
    index = tmp_path / ".git/index"
    os.utime(tmp_path / "rows", (1, 1))  # git looks at it again, and would note that it is the same
    before = index.read_bytes()

    assert source_state.origin()["git_dirty"] == "false"
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
