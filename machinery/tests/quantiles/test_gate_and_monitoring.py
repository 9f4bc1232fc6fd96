"""Quantiles are judged by the gate, and watched: by the pinball loss, and by what the interval holds."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from machinery.tests.conftest import Trained
from machinery.tests.projects import moved
from machinery.tests.quantiles.conftest import SMALL, deliveries
from machinery.tests.small_project import RELEASE, looked
from rung_ops import contract
from rung_ops.autopilot import facts
from rung_ops.autopilot.decide import Rollback
from rung_ops.gate import registry_gate as gate_report
from rung_ops.gate.verdict import Verdict
from rung_ops.monitoring import monitor_result, observation, release_info
from rung_ops.monitoring.monitor_result import status
from rung_ops.training import estimator

Judged = Callable[..., Verdict]
Answered = Callable[..., pl.DataFrame]


def test_a_version_that_is_as_good_passes_and_says_what_its_interval_holds(
    trained: Trained, judged: Judged
) -> None:
    good = estimator.predict(trained.estimator, trained.test)

    verdict = judged(good, good)
    (too_narrow, *_) = judged(np.repeat(good[:, [1]], 3, axis=1), good).reasons

    assert "the champion: pinball" in too_narrow
    assert verdict.reasons == []
    assert verdict.figures["interval"]["promised"] == 0.8
    assert 0.6 < verdict.figures["interval"]["challenger"] < 0.9
    lines = list(gate_report.table(verdict))
    assert any(line.startswith("in the 80% interval") for line in lines)


def happened(trained: Trained, share: float) -> pl.DataFrame:
    """Draw rows of which a share is inside the interval that the model predicts."""
    rows = deliveries(2_000, seed=2)
    low, _, high = estimator.predict(trained.estimator, rows).T
    inside = np.random.default_rng(3).random(rows.height) < share
    return rows.with_columns(minutes=pl.Series(np.where(inside, (low + high) / 2, high + 1)))


@pytest.mark.parametrize(("share", "missed"), [(0.8, False), (0.77, False), (0.68, True)])
def test_an_interval_that_holds_fewer_outcomes_than_promised_is_a_problem(
    trained: Trained, released: release_info.Released, tmp_path: Path, share: float, missed: bool
) -> None:
    rows = happened(trained, share)
    rows.select("delivery", "minutes").write_csv(tmp_path / "outcomes.csv")

    result = looked(released, SMALL.logged(trained, rows), tmp_path)

    interval = status(result)["quality"]["interval"]
    assert interval["held"] == pytest.approx(share, abs=0.03)
    assert (interval["promised"], interval["missed"]) == (0.8, missed)
    problems = [problem for problem in result.problems if problem.startswith("the interval holds")]
    assert len(problems) == missed
    assert all("QUANTILES promise 80%: off by more than 5%" in each for each in problems)
    gauges = monitor_result.gauges(result)
    assert b"monitor_interval_held_ratio" in gauges
    assert b'monitor_interval_missed{metric="' in gauges
    assert "outcomes in the interval" in observation.html("deliveries", "production", result)


def test_predictions_that_moved_are_drift_and_outcomes_give_the_figure(
    trained: Trained, released: release_info.Released, tmp_path: Path
) -> None:
    quiet, moved = deliveries(2_000, seed=2), deliveries(2_000, seed=3)
    quiet.select("delivery", "minutes").write_csv(tmp_path / "outcomes.csv")
    moved = moved.with_columns(distance=pl.col("distance") / 2 + 20)

    known = status(looked(released, SMALL.logged(trained, quiet), tmp_path))
    drifted = status(looked(released, SMALL.logged(trained, moved), tmp_path))

    predicted = estimator.predict(trained.estimator, quiet)
    expected = contract.score(quiet["minutes"].to_numpy(), predicted)["pinball"]
    assert known["quality"]["figure"] == pytest.approx(expected)
    assert (known["drift"]["prediction"], drifted["drift"]["prediction"]) == (False, True)


def test_rows_of_the_release_before_quantiles_are_learned_from(
    trained: Trained, answered: Answered, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = deliveries(400, seed=2)
    moved(monkeypatch, rows=tmp_path / "rows.parquet")

    answers = answered(rows, SMALL.logged(trained, rows).drop("interval"))

    assert facts.new_rows(answers).height == 400
    assert answers[facts.PREDICTION].null_count() == 400


@pytest.mark.usefixtures("deployed")
def test_a_promoted_release_is_compared_with_the_one_before_by_its_quantiles(
    answered: Answered,
) -> None:
    policy = Rollback(least_rows=100, watch_days=90, level=0.99, error_rate=0.01)
    answers = answered(deliveries(400, seed=2)).with_columns(pl.lit("v2").alias(facts.RELEASE))
    field = pl.col(facts.PREDICTION).struct
    later = {"prediction": field.field("prediction") + 30, "interval": field.field("interval")}
    worse = answers.with_columns(pl.struct(**later).alias(facts.PREDICTION))

    same = facts._of_quality(RELEASE, "v2", answers, policy)
    compared = facts._of_quality(RELEASE, "v2", worse, policy)

    assert same is not None and not same.worse
    assert compared is not None and compared.worse
