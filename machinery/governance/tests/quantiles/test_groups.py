"""Groups are compared by the median and by what their intervals hold; the median is explained."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from machinery.tests.conftest import Trained
from rung_governance.approval import fairness
from rung_governance.approval.fairness import compare_intervals
from rung_governance.documents import explain
from rung_ops.project.paths import params
from rung_ops.training import estimator


def test_figures_are_those_counted_by_hand() -> None:
    truth = np.array([1.0, 2, 3, 4])
    predicted = np.array([[0.0, 1, 2], [3, 4, 5], [2, 3, 4], [0, 2, 8]])
    group = np.array(["a", "a", "b", "b"])

    compared, notes = compare_intervals(truth, predicted, group, 1)

    assert compared["values"]["a"] == {
        **{"rows": 2, "mean_error": 1.0, "mean_absolute_error": 1.0},
        **{"interval_coverage": 0.5, "interval_width": 2.0},
    }
    assert compared["values"]["b"]["mean_error"] == -1.0
    assert compared["differences"]["interval_coverage"] == 0.5
    assert compared["differences"]["interval_width"] == 3.0
    assert notes == []


def test_the_report_compares_the_groups_of_the_settings(trained: Trained) -> None:
    predicted = estimator.predict(trained.estimator, trained.test)
    rows = trained.test.with_columns(pl.Series("predicted", predicted))
    settings: dict[str, Any] = {"fairness": {"groups": {"vehicle": []}}}

    report = fairness.assess(rows, settings)

    assert (report["task"], report["level"]) == ("quantile", 0.8)
    of_bikes = report["groups"]["vehicle"]["values"]["bike"]
    assert of_bikes["rows"] == (trained.test["vehicle"] == "bike").sum()
    assert 0.5 < of_bikes["interval_coverage"] < 1
    assert fairness.table(report).height == 2 * 4


def test_the_median_is_explained(trained: Trained) -> None:
    settings = params() | {"explain": {"rows": 8, "background": 10}}

    report = explain.report(trained.estimator, trained.test, trained.train, settings)

    assert report["of"] == "the median"
    for each in report["examples"]:
        low, median, high = estimator.predict(trained.estimator, trained.test[each["test_row"]])[0]
        assert low <= median <= high
        assert each["predicted"] == pytest.approx(median, abs=1e-4)
