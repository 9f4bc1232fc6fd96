"""Judge a challenger: compare its predictions with a baseline and the champion, also by slice."""

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from rung_ops import contract
from rung_ops.errors import StageError
from rung_ops.gate import paired_test, threshold
from rung_ops.gate import slices as gate_slices
from rung_ops.gate.paired_test import GROUPS, Comparison
from rung_ops.gate.rules import Rules
from rung_ops.gate.slices import Slice
from rung_ops.gate.threshold import Threshold
from rung_ops.model.target import finite_rows, inside, shape
from rung_ops.project.paths import params
from rung_ops.statistics import time_blocks
from rung_ops.system.printable import four_digits
from rung_ops.training import estimator
from rung_ops.training.baseline import Baseline, in_words


@dataclass(frozen=True)
class Champion:
    """The model that the challenger would replace.

    Attributes:
        facts: its origin, such as version, run_id and release.
        predictions: of the test rows, as estimator.predict() returns them.
        slices: of its own evaluation, in the format of reports/slices.json.
    """

    facts: dict[str, str]
    predictions: np.ndarray
    slices: list[dict[str, Any]]


@dataclass(frozen=True)
class Verdict:
    """Whether the challenger may replace the champion.

    Attributes:
        promote: whether it may.
        reasons: why it may not; empty otherwise.
        figures: all computed figures; None for an undefined one.
        notes: remarks that do not decide.
        challenger: origin of the challenger.
        champion: origin of the champion; None without one.
        awaits: decisions of people that are missing, such as an approval; until then the
            challenger may run as a shadow.
    """

    promote: bool
    reasons: list[str]
    figures: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    challenger: dict[str, str] = field(default_factory=dict)
    champion: dict[str, str] | None = None
    awaits: list[str] = field(default_factory=list)

    def with_reasons(self, reasons: list[str]) -> "Verdict":
        """Return a verdict with further reasons against the challenger."""
        combined = self.reasons + reasons
        return dataclasses.replace(self, promote=not (combined or self.awaits), reasons=combined)

    def awaiting(self, awaits: list[str]) -> "Verdict":
        """Return a verdict that awaits decisions of people."""
        return dataclasses.replace(self, promote=self.promote and not awaits, awaits=awaits)


class Score:
    """The deciding metric, with its sign changed if lower is better."""

    def __init__(self) -> None:
        """Read [score] in params.toml."""
        settings = params()
        self.metric: str = settings["score"]["metric"]
        self.sign = 1 if settings["score"]["higher_is_better"] else -1
        self.seed: int = settings["seed"]

    def __call__(self, truth: np.ndarray, predicted: np.ndarray) -> float:
        """Score predictions; greater is better."""
        return self.sign * float(contract.score(truth, predicted)[self.metric])

    def plain(self, value: float) -> float | None:
        """Return a figure with the sign of score() in model.py; None if it is not finite."""
        return self.sign * value if math.isfinite(value) else None

    def allowed(self, share: float, champion: float) -> Threshold:
        """Return how far below the champion's figure a rule lets another figure be."""
        return threshold.of(share, champion, self.sign > 0)


def judge(
    rows: pl.DataFrame,
    challenger: np.ndarray,
    champion: Champion | None,
    baseline: Baseline,
    rules: Rules,
) -> Verdict:
    """Judge predictions of the test rows.

    Args:
        rows: test rows with their target, shape (n_rows, n_columns).
        challenger: its predictions, as estimator.predict() returns them.
        champion: with its predictions of the same rows, if there is one.
        baseline: the best one, with its predictions of the same rows.
        rules: of the gate.
    """
    predictions = {"challenger": challenger, "baseline": baseline.predictions}
    if champion:
        predictions["champion"] = champion.predictions
    reasons = list(_incomplete(rows, predictions, rules))
    score = Score()
    figures: dict[str, Any] = {
        "metric": score.metric,
        "higher_is_better": score.sign > 0,
        "rows": rows.height,
        "alpha": rules.alpha,
    }
    if not reasons:
        try:
            reasons = _compared(rows, predictions, champion, baseline.name, rules, score, figures)
        except KeyError as error:
            reasons = [f"score() in model.py, or the test rows, have no {error}"]
        except (
            paired_test.NotComparable,
            time_blocks.TooFewBlocksError,
            pl.exceptions.PolarsError,
            StageError,
        ) as error:
            reasons = [str(error)]
    return Verdict(not reasons, reasons, figures, champion=champion.facts if champion else None)


def _incomplete(
    rows: pl.DataFrame, predictions: dict[str, np.ndarray], rules: Rules
) -> Iterator[str]:
    if contract.TARGET not in rows.columns:
        yield f"the test rows lack the target `{contract.TARGET}`"
    elif unknown := rows[contract.TARGET].is_null().sum() + _nans(rows[contract.TARGET]):
        yield f"{unknown:,} of {rows.height:,} test rows have no `{contract.TARGET}`"
    if rows.height < rules.min_rows:
        yield f"got {rows.height:,} test rows; expected at least {rules.min_rows:,}"
    kind = estimator.kind()
    for name, predicted in predictions.items():
        if predicted.shape != (expected := shape(rows.height, kind)):
            yield f"predictions of the {name} have shape {predicted.shape}; expected {expected}"
        elif bad := int((~finite_rows(predicted)).sum()):
            yield f"{bad:,} of {rows.height:,} predictions of the {name} are not finite numbers"


def _nans(column: pl.Series) -> int:
    return int(column.is_nan().sum()) if column.dtype.is_float() else 0


def _compared(
    rows: pl.DataFrame,
    predictions: dict[str, np.ndarray],
    champion: Champion | None,
    simplest: str,
    rules: Rules,
    score: Score,
    figures: dict[str, Any],
) -> list[str]:
    """Add the figures, and return the reasons against the challenger."""
    truth, challenger = estimator.truth(rows), predictions["challenger"]
    others = {name: each for name, each in predictions.items() if name != "challenger"}
    group = time_blocks.groups(rows, score.seed, min(GROUPS, rows.height // 2))
    compared = paired_test.compare(truth, challenger, others, score, rules.alpha, group)
    figures |= {"challenger": score.plain(compared["baseline"].challenger)}
    figures |= {name: _figures(each, score) for name, each in compared.items()}
    figures["baseline"]["name"] = simplest
    kind = estimator.kind()
    if kind.quantiles:
        held = {name: float(inside(truth, each).mean()) for name, each in predictions.items()}
        figures["interval"] = {"promised": kind.level} | held
    figures["scores"] = {name: _scores(truth, each) for name, each in predictions.items()}
    reasons = list(_not_better(compared["baseline"], simplest, score))
    max_drop = None
    if "champion" in compared:
        margin = score.allowed(rules.margin, compared["champion"].other)
        max_drop = score.allowed(rules.max_drop, compared["champion"].other)
        figures["champion"]["margin"] = margin.amount
        reasons += _worse(compared["champion"], margin, score, rows.height)
    slices = gate_slices.score(rows, truth, challenger, others.get("champion"), score, rules)
    figures["slices"] = [_slice(each, score) for each in slices]
    named = params().get("report", {}).get("slices", [])
    before = champion.slices if champion else []
    known = [each for each in before if each.get(score.metric) is not None]
    return reasons + list(gate_slices.objections(slices, named, known, rules, max_drop, score.sign))


def _not_better(compared: Comparison, simplest: str, score: Score) -> Iterator[str]:
    if not compared.low > 0:
        yield f"not shown to be better than {in_words(simplest)}: {_both(compared, score)}"


def _worse(compared: Comparison, margin: Threshold, score: Score, rows: int) -> Iterator[str]:
    if compared.not_worse(margin.amount):
        return
    if compared.high < 0:
        yield f"worse than the champion: {_both(compared, score)}"
        return
    reason = (
        f"not shown to be as good as the champion: {_both(compared, score)}, so it may be "
        f"{four_digits(-compared.low)} worse; {margin} is allowed"
    )
    needed = math.ceil(rows * (compared.deviations * compared.error / margin.amount) ** 2)
    if needed > rows:
        reason += f". An equally good version would need about {needed:,} test rows to pass"
    yield reason


def _both(compared: Comparison, score: Score) -> str:
    challenger, other = score.sign * compared.challenger, score.sign * compared.other
    return f"{score.metric} {four_digits(challenger)} against {four_digits(other)}"


def _figures(compared: Comparison, score: Score) -> dict[str, float | None]:
    return {
        "figure": score.plain(compared.other),
        "gain": compared.gain,
        "gain_low": compared.low,
        "gain_high": compared.high,
        "standard_error": compared.error,
    }


def _scores(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float | None]:
    """Return every figure of score() in model.py, not only the deciding one."""
    values = {name: float(value) for name, value in contract.score(truth, predicted).items()}
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _slice(each: Slice, score: Score) -> dict[str, Any]:
    return dataclasses.asdict(each) | {
        "challenger": score.plain(each.challenger),
        "champion": score.plain(each.champion),
    }
