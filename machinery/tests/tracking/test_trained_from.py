"""A run is recorded of what the model was trained from, or not at all."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from machinery.tests.conftest import RunVerb
from machinery.tests.projects import moved
from rung_ops.data import dvc
from rung_ops.errors import StageError
from rung_ops.tracking import record_run, source_state

# As `dvc status --json` printed it.
STATUS = {
    "train": [
        {"changed deps": {"src": "modified", "params.toml": {"model.C": "modified"}}},
        "changed command",
    ],
    "evaluate": [{"changed deps": {"src": "modified"}}],
}


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """A project whose lock names the stages that wrote model and figures; what DVC is asked."""
    stages = {
        "split": {"outs": [{"path": "data/test.parquet"}]},
        "train": {"outs": [{"path": "model/model.skops"}]},
        "judge": {"outs": [{"path": "reports/metrics.json"}]},
    }
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"stages": stages}))
    moved(monkeypatch, source_state, root=tmp_path)
    return []


def answer(
    monkeypatch: pytest.MonkeyPatch, asked: list[tuple[str, ...]], code: int, text: str
) -> None:
    def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        asked.append(arguments)
        return subprocess.CompletedProcess(arguments, code, text, "dvc is locked")

    monkeypatch.setattr(dvc, "run", run)


def test_what_changed_since_the_training_is_named(
    asked: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, asked, 0, json.dumps(STATUS))

    changes = source_state.changes_since_training()

    assert changes == ["changed command", "model.C in params.toml", "src"]
    assert asked == [("status", "--json", "judge", "train")]


@pytest.mark.tried(
    "Train, restore `params.toml` or `src/`, and record the run again",
    "`rung-ops track` refuses: DVC's lock says what the model was trained from",
)
def test_nothing_is_recorded_of_a_model_that_was_trained_from_something_else(
    asked: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, run_verb: RunVerb
) -> None:
    answer(monkeypatch, asked, 0, json.dumps(STATUS))
    monkeypatch.setattr(record_run, "origin", dict)
    monkeypatch.setattr(record_run, "record", lambda tags: pytest.fail("recorded"))

    code, output = run_verb(record_run.main)

    assert code == 1
    assert "since the model was trained, changed command, model.C" in output


def test_what_dvc_does_not_tell_is_an_error(
    asked: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, asked, 1, "")

    with pytest.raises(StageError, match="dvc is locked"):
        source_state.changes_since_training()


def test_without_dvc_lock_dvc_is_not_run(
    asked: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answer(monkeypatch, asked, 0, json.dumps(STATUS))
    (tmp_path / "dvc.lock").unlink()

    assert source_state.changes_since_training() == [] == asked
