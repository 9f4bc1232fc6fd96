"""Groups are compared class by class, and it is said of which class an explanation is."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from machinery.tests.conftest import Trained
from machinery.tests.multiclass.conftest import CLASSES
from rung_governance.approval import fairness
from rung_governance.approval.fairness import compare_classes, few_rows, not_measured
from rung_governance.documents import explain
from rung_ops.project.paths import params
from rung_ops.statistics.intervals import wilson_interval
from rung_ops.training import estimator

TRUTH = np.array([0, 0, 1, 1, 2, 2, 0, 0, 1, 1])
ANSWERED = np.array([0, 1, 1, 1, 0, 2, 0, 0, 0, 1])
GROUP = np.array(["a"] * 6 + ["b"] * 4)


def test_rates_and_their_intervals_are_those_of_each_class_against_the_others() -> None:
    compared, _ = compare_classes(TRUTH, ANSWERED, GROUP, 1, CLASSES)

    late = compared["values"]["a"]["late"]
    assert (late["rows"], late["positives"]) == (6, 2)
    for figure, events, rows in (
        ("selection_rate", 3, 6),
        ("true_positive_rate", 2, 2),
        ("false_positive_rate", 1, 4),
    ):
        ends = late[f"{figure}_low"], late[f"{figure}_high"]
        assert late[figure] == events / rows
        assert ends == pytest.approx(wilson_interval(events, rows, 1.96), abs=1e-4)
    assert compared["values"]["b"]["late"]["true_positive_rate"] == 0.5
    assert compared["differences"]["late"] == {
        **{"selection_rate": 0.25, "true_positive_rate": 0.5},
        "false_positive_rate": 0.25,
    }


def test_a_rate_of_few_rows_is_shown_named_and_left_out_of_the_differences() -> None:
    compared, notes = compare_classes(TRUTH, ANSWERED, GROUP, 2, CLASSES)

    lost = compared["values"]["b"]["lost & found"]
    assert lost["true_positive_rate"] is None
    assert lost["true_positive_rate_low"] is None
    assert compared["values"]["a"]["lost & found"]["true_positive_rate"] == 0.5
    assert compared["differences"]["lost & found"]["true_positive_rate"] is None
    assert compared["differences"]["late"]["true_positive_rate"] == 0.5
    assert not_measured(compared) == {"true_positive_rate of lost & found": {"a": 2, "b": 0}}
    assert notes == [
        "b, true_positive_rate of lost & found: 0 rows, fewer than 2: left out of the differences",
        "true_positive_rate of lost & found: fewer than two groups can be compared",
    ]


def test_a_small_group_is_named_once_whatever_a_class_is_called() -> None:
    compared, _ = compare_classes(TRUTH, ANSWERED, GROUP, 5, ["early", "rows", "lost"])

    few = few_rows(compared["values"], 5)

    assert few["b"] == 4
    assert "b, true_positive_rate of rows" not in few
    assert few["a, true_positive_rate of rows"] == 2
    assert compared["differences"]["rows"]["selection_rate"] is None


def test_the_report_compares_the_answered_classes_without_a_threshold(trained: Trained) -> None:
    predicted = estimator.predict(trained.estimator, trained.test)
    rows = trained.test.with_columns(pl.Series("predicted", predicted))
    settings: dict[str, Any] = {"fairness": {"groups": {"service": []}}}

    report = fairness.assess(rows, settings)

    express = trained.test["service"] == "express"
    late = (predicted[express.to_numpy()].argmax(axis=1) == 1).mean()
    of_express = report["groups"]["service"]["values"]["express"]["late"]
    assert (report["task"], report["classes"]) == ("multiclass", CLASSES)
    assert "threshold" not in report
    assert of_express["selection_rate"] == pytest.approx(late, abs=1e-4)
    lost = report["too_small"]["service"]["express, true_positive_rate of lost & found"]
    assert lost == (trained.test.filter(express)["outcome"] == "lost & found").sum() < 30
    (unknown,) = report["not_measured"]["service"]
    assert unknown == "true_positive_rate of lost & found"
    labels = fairness.table(report)["label"].to_list()
    assert len(labels) == 3 * 3 * 2
    assert "selection_rate of late, service express" in labels


def test_effects_add_up_to_the_probability_of_each_class(trained: Trained) -> None:
    rows, background = estimator.features(trained.test)[:3], estimator.features(trained.train)[:20]

    values, base = explain.shap_values(trained.estimator, rows, background, 1, 3_600)

    predicted = estimator.predict_features(trained.estimator, rows)
    np.testing.assert_allclose(values.sum(axis=1) + base, predicted, atol=1e-9)


def test_an_example_is_explained_by_the_class_that_is_answered(trained: Trained) -> None:
    settings = params() | {"explain": {"rows": 40, "background": 20}}
    unsaid = explain.report(trained.estimator, trained.test, trained.train, settings)
    said = explain.report(
        *(trained.estimator, trained.test, trained.train),
        settings | {"reasons": {"adverse": ["late"]}},
    )

    assert list(unsaid["base"]) == CLASSES
    assert list(unsaid["importance_by_class"]["distance"]) == CLASSES
    assert list(unsaid["importance"])[0] == "distance"
    assert {each["predicted"] for each in unsaid["examples"]} == {"on time", "late"}
    for each, against in zip(unsaid["examples"], said["examples"], strict=True):
        row = trained.test[each["test_row"]]
        predicted = estimator.predict(trained.estimator, row)[0]
        assert each["predicted"] == CLASSES[predicted.argmax()]
        assert each["probability"] == pytest.approx(predicted.max(), abs=1e-4)
        if each["predicted"] == "late":
            assert all(reason["effect"] > 0 for reason in against["reasons"])
        else:
            assert against == each
