"""The search tries what it was asked to, and logs each trial."""

import json
import math
from pathlib import Path

import pytest

from machinery.tests.projects import moved
from rung_ops import contract
from rung_ops.data.ingest import sample_rows
from rung_ops.tracking import registry, tune


@pytest.mark.skipif(contract.space is None, reason="model.py has no space(trial)")
def test_each_trial_is_a_run_under_one_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    rows = sample_rows()
    rows = rows.sample(min(600, rows.height), seed=1)
    rows = rows.sort(contract.TIME) if contract.TIME is not None else rows
    parts = {"rows": rows, "train": rows[:400], "test": rows[400:]}
    for name, part in parts.items():
        part.write_parquet(tmp_path / f"{name}.parquet")
    moved(monkeypatch, **{name: tmp_path / f"{name}.parquet" for name in parts})
    monkeypatch.setattr(tune, "tuning_file", lambda: tmp_path / "tuning.json")
    figures = iter([0.5, math.nan])
    monkeypatch.setattr(tune, "score_of", lambda *_: next(figures, 0.6))

    assert tune.main(["--trials", "2"]) == 0

    store = registry.client()
    experiments = store.search_experiments()
    runs = store.search_runs([experiment.experiment_id for experiment in experiments])
    parents = [run.data.tags.get("mlflow.parentRunId") for run in runs]
    assert sorted(parent is None for parent in parents) == [False, False, True]
    assert len(set(parents)) == 2
    printed = capsys.readouterr().out
    assert "[model]" in printed
    assert ('window = "' in printed) == (contract.TIME is not None)
    tuned = json.loads((tmp_path / "tuning.json").read_bytes())
    assert tuned["model"] in [each["model"] for each in tuned["tried"]]
    assert [2] == [each["trial"] for each in tuned["tried"]]  # the first has no figure


def test_without_trials_there_is_a_message(capsys: pytest.CaptureFixture[str]) -> None:
    if contract.space is None:
        pytest.skip("model.py has no space(trial)")

    assert tune.main(["--trials", "0"]) == 1
    assert "1 or more" in capsys.readouterr().err
