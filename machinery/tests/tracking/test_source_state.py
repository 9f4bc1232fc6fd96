"""The origin of a model is read, and nothing is written for it."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from machinery.tests.projects import moved
from rung_ops.project import current
from rung_ops.tracking import source_state


def test_gits_index_is_not_written_anew_for_which_a_full_disk_has_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*words: str) -> None:
        named = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
        subprocess.run(["git", *named, *words], cwd=tmp_path, check=True)

    moved(monkeypatch, source_state, root=tmp_path, rows=tmp_path / "rows")
    for name in ("params.toml", "dvc.yaml", "rows"):
        (tmp_path / name).write_text("")
    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "--message=Start")
    index = tmp_path / ".git/index"
    os.utime(tmp_path / "rows", (1, 1))  # git looks at it again, and would note that it is the same
    before = index.read_bytes()

    assert source_state.origin()["git_dirty"] == "false"
    assert index.read_bytes() == before


def test_what_a_release_holds_makes_a_version() -> None:
    stage = yaml.safe_load((current().root / "dvc.yaml").read_text())["stages"]["track"]

    assert {"src", "model/model.skops", "model/refit", "data/rows.parquet"} <= set(stage["deps"])
    assert stage["params"] == [{"params.toml": None}]  # each of them
