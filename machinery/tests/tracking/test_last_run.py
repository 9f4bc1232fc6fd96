"""What reports/run.json names is committed to DVC, or the reason why not is said."""

import subprocess
from pathlib import Path

import pytest

from machinery.tests.projects import moved
from rung_ops.errors import StageError
from rung_ops.tracking import last_run


@pytest.mark.parametrize("before", [{}, {"run_id": "a0", "model": "late", "version": "2"}])
def test_what_dvc_refuses_is_reported_with_its_reason_and_rolled_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: dict[str, str]
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
