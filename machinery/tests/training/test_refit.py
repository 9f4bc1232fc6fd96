"""What is released is fitted again to all rows, and which rows were used is said."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from machinery.tests.conftest import Trained
from machinery.tests.in_project import fit
from rung_ops import contract
from rung_ops.errors import StageError
from rung_ops.project import Project
from rung_ops.project.parameters import checked
from rung_ops.project.paths import params
from rung_ops.training import estimator, refit, window


def with_split(monkeypatch: pytest.MonkeyPatch, **split: Any) -> None:
    settings = params() | {"split": {"test_share": 0.25} | split}
    monkeypatch.setattr(window, "parameters", lambda: checked(settings))


def test_the_settings_are_fitted_again_to_training_and_test_rows(
    here: Project, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_split(monkeypatch, refit=True)

    assert refit.main() == 0

    rows = pl.concat([trained.train, trained.test])
    again = estimator.predict(estimator.load(here.refitted), trained.test)
    assert np.array_equal(again, estimator.predict(fit(rows), trained.test))
    assert refit.served_model() == here.refitted
    used = json.loads((here.reports / refit.ROWS).read_text())
    assert [used[name]["rows"] for name in ("trained", "judged", "refitted")] == [
        *(trained.train.height, trained.test.height, rows.height)
    ]
    sentence = refit.recorded(here.reports)
    assert sentence.startswith("Trained on ") and f"{rows.height:,} rows" in sentence

    estimator.save(fit(trained.test), here.model_file)

    assert refit.served_model() == here.model_file  # another one was trained since


def test_no_more_rows_are_fitted_again_than_may_teach(
    here: Project, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_split(monkeypatch, refit=True, train_rows=trained.train.height)

    rows = window.all_rows(trained.train, trained.test)

    assert rows.height == trained.train.height
    used = refit.used_rows(trained.train, trained.test, rows)
    assert used["refitted"]["sampled"]


def test_without_it_the_judged_model_serves(here: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with_split(monkeypatch)

    assert refit.main() == 0

    assert refit.served_model() == here.model_file
    assert not here.refitted.exists()
    assert "for a release" not in refit.recorded(here.reports)


def test_a_split_that_does_not_apply_a_setting_is_named(
    here: Project, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Projects keep the split.py that they were made with."""
    with_split(monkeypatch, test_rows=trained.test.height // 2)

    with pytest.raises(StageError, match="does not apply test_rows of"):
        refit.main()

    if contract.TIME is not None:
        with_split(monkeypatch, begins="2013-03-01", window="1 month")
        with pytest.raises(StageError, match="does not apply begins and window of"):
            refit.main()


def test_the_sentence_says_what_drift_was_seen(tmp_path: Path) -> None:
    months = {"from": "2025-01-01", "until": "2025-03-31T23:00:00", "rows": 1_200}
    used = {
        "window": "half-life 6 months",
        "trained": months,
        "judged": {"from": "2025-04-01", "until": "2025-04-30", "rows": 1},
        "refitted": None,
    }
    status = {
        "release": "v1-aaaaaaaa-bbbbbb",
        "window": {"until": "2025-05-02T00:00:00+00:00"},
        "drift": {"judged": True, "features": ["weight"], "prediction": True},
    }
    (tmp_path / "monitor").mkdir()
    (tmp_path / "monitor/status.json").write_text(json.dumps(status))

    assert refit.sentence(used, tmp_path) == (
        "Trained on 2025-01 to 2025-03 (1,200 rows) with the window half-life 6 months, judged on "
        "2025-04 (1 row). Drift in what v1-aaaaaaaa-bbbbbb answered until 2025-05-02: `weight`, the "
        "predictions."
    )
