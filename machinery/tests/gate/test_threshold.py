"""A threshold on a figure means the same in gate, monitor and autopilot, whatever its unit."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from msgspec import structs

from machinery.tests.autopilot.test_decide import CALM, RULES
from rung_ops import contract
from rung_ops.autopilot import decide
from rung_ops.autopilot.decide import Quality, Retrain
from rung_ops.gate import judge
from rung_ops.gate.judge import Champion
from rung_ops.gate.rules import Rules, allowed_loss
from rung_ops.monitoring import quality
from rung_ops.monitoring.limits import Limits
from rung_ops.monitoring.outcomes import TRUTH
from rung_ops.monitoring.quality import QualityMetric
from rung_ops.training import judged_rows
from rung_ops.training.baseline import Baseline

SCALES = [0.001, 1.0, 43.7, 1e6]  # of the target: tonnes or grams, bikes or millions of them
ROWS = 4_000
DRAWN = np.random.default_rng(1).normal(size=(2, ROWS))


def mae(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    return {"mae": float(np.abs(truth - predicted).mean())}


@pytest.mark.parametrize(
    ("figure", "higher_is_better", "amount", "words"),
    [
        (0.76, True, 0.02, "0.02"),
        (-0.3, True, 0.02, "0.02"),
        (43.7, False, 0.874, "0.874 (2 % of 43.7)"),
        (0.21, False, 0.0042, "0.0042 (2 % of 0.21)"),
        (250.0, True, 5.0, "5 (2 % of 250)"),
        (-43.7, True, 0.874, "0.874 (2 % of 43.7)"),
    ],
    ids=["auc", "r2", "mae", "brier", "profit", "negative mae"],
)
def test_a_threshold_is_in_points_or_a_share_of_the_figure(
    figure: float, higher_is_better: bool, amount: float, words: str
) -> None:
    allowed = allowed_loss(0.02, figure, higher_is_better)

    assert allowed.amount == pytest.approx(amount)
    assert str(allowed) == words


def test_a_figure_above_one_leaves_no_jump() -> None:
    below, above = (allowed_loss(0.02, figure, True).amount for figure in (0.999, 1.001))

    assert below == pytest.approx(above, rel=0.01)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("worse", "passes"), [(0.0, True), (0.005, True), (0.02, False)])
def test_the_gate_decides_the_same_in_every_unit(
    monkeypatch: pytest.MonkeyPatch, scale: float, worse: float, passes: bool
) -> None:
    settings = {"seed": 1, "score": {"metric": "mae", "higher_is_better": False}}
    for module in (judge, judged_rows):
        monkeypatch.setattr(module, "params", lambda: settings)
    monkeypatch.setattr(judged_rows, "features", lambda frame: frame)
    monkeypatch.setattr(contract, "TIME", None)
    monkeypatch.setattr(contract, "score", mae)
    monkeypatch.setattr(judge.estimator, "truth", lambda frame: frame[contract.TARGET].to_numpy())
    truth, error = DRAWN[0] * 5 * scale, DRAWN[1] * scale
    rows = pl.DataFrame({contract.TARGET: truth})
    champion = Champion({"version": "1"}, truth + error, [])

    judgement = judge.judge(
        rows,
        truth + (1 + worse) * error,
        champion,
        Baseline("constant", np.zeros(ROWS), {}),
        Rules(margin=0.01),
    )

    assert judgement.promote is passes
    figure, mean = judgement.figures["champion"], np.abs(error).mean()
    assert (figure["figure"], figure["margin"]) == pytest.approx((mean, 0.01 * mean))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("worse", "alarms"), [(0.019, False), (0.021, True)])
def test_the_monitor_decides_the_same_in_every_unit(
    scale: float, worse: float, alarms: bool
) -> None:
    truth, error = DRAWN[0] * 5 * scale, np.sign(DRAWN[1]) * scale  # each error of one size
    joined = pl.DataFrame(
        {
            "time": pl.Series([datetime(2026, 6, 1, tzinfo=UTC)]).repeat_by(ROWS).explode(),
            "prediction": truth + (1 + worse) * error,
            TRUTH: truth,
            "row": pl.Series([{"a": 1}] * ROWS),
            "features": pl.Series([{"a": 1}] * ROWS),
        }
    )
    tested = {"mae": mae(truth, truth + error)["mae"]}
    metric = QualityMetric(mae, "mae", False, tested, [], [], False, 7)

    table = quality.judge(joined, metric, Limits())

    assert table.row(0, named=True)["worse"] is alarms


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("worse", "trains"), [(1.015, False), (1.03, True)])
def test_the_autopilot_decides_the_same_in_every_unit(
    scale: float, worse: float, trains: bool
) -> None:
    figure = 0.7 * scale
    low, high = worse * figure, (worse + 0.01) * figure
    known = Quality("mae", False, low, low, high, at_release=figure, rows=4_000)

    rules = structs.replace(RULES, retrain=Retrain(0, False, 0.02, 0, 0))
    (reason,) = decide.reasons_to_train(replace(CALM, quality=known), rules)

    assert reason.applies is trains
    assert f"by more than {allowed_loss(0.02, figure, False)}" in reason.says
