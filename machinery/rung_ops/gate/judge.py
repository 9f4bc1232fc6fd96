"""Judgement of a challenger: its predictions against a baseline's and the champion's, also by slice."""

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from rung_ops import contract
from rung_ops.errors import StageError
from rung_ops.gate import paired_test
from rung_ops.gate.paired_test import GROUPS, Comparison, Figure, figure_or_nan
from rung_ops.gate.rules import Rules, Threshold, allowed_loss
from rung_ops.model.target import finite_rows, inside, shape
from rung_ops.project.paths import params
from rung_ops.statistics import time_blocks
from rung_ops.statistics.jackknife import NotComparableError
from rung_ops.system.printable import counted, four_digits
from rung_ops.training import estimator
from rung_ops.training.baseline import Baseline, in_words
from rung_ops.training.slice_scores import MONTH, slice_columns


@dataclass(frozen=True)
class Slice:
    """One slice of the test rows.

    Attributes:
        column, value: the rows with this value in this column.
        rows: their number.
        challenger, champion: figures, greater is better; NaN if undefined.
        judged: whether it has enough rows, and both classes if the figure needs them.
    """

    column: str
    value: str
    rows: int
    challenger: float
    champion: float
    judged: bool

    def __str__(self) -> str:
        return f"{self.column} {self.value}"


def score_slices(
    rows: pl.DataFrame,
    truth: np.ndarray,
    challenger: np.ndarray,
    champion: np.ndarray | None,
    figure: Figure,
    rules: Rules,
) -> list[Slice]:
    """Score every slice of the columns that params.toml names, largest first.

    Months are skipped: they differ between test sets.
    """
    slices = []
    columns = slice_columns(rows)
    for column in columns.columns:
        if column == MONTH:
            continue
        counts = columns[column].value_counts().sort("count", column, descending=[True, False])
        for value, count in counts.iter_rows():
            if not rules.slices.judges(column, value):
                continue
            inside = (columns[column] == value).to_numpy()
            own, others = (
                math.nan
                if predicted is None or count < rules.slices.min_rows
                else figure_or_nan(figure, truth[inside], predicted[inside])
                for predicted in (challenger, champion)
            )
            judged = math.isfinite(own) or math.isfinite(others)
            slices.append(Slice(column, value, count, own, others, judged))
    return slices


def _slice_objections(
    slices: list[Slice],
    named: list[str],
    known: list[dict[str, Any]],
    rules: Rules,
    max_drop: Threshold | None,
    sign: int,
) -> Iterator[str]:
    """Yield the reasons of slices against the challenger.

    Args:
        slices: from score().
        named: the columns under [report] slices in params.toml.
        known: slices of the champion's own evaluation that had a figure: column, value, rows.
        rules: of the gate.
        max_drop: how far a slice may fall below the champion's; None without a champion.
        sign: -1 where lower is better.
    """
    yield from _not_judged(slices, named, known, rules)
    for each in slices:
        if not each.judged:
            continue
        if not math.isfinite(each.challenger):
            yield f"{each}: the challenger has no figure on its {counted(each.rows, 'row')}"
        if max_drop and each.champion - each.challenger > max_drop.amount:
            yield (
                f"{each}: changes from {four_digits(sign * each.champion)} to "
                f"{four_digits(sign * each.challenger)} on {counted(each.rows, 'row')}; {max_drop} is allowed"
            )
    by_name = {(each.column, each.value): each for each in slices}
    for bound in rules.slices.bounds:
        bounded = by_name.get((bound.column, bound.value))
        if bounded is None or not bounded.judged:
            rows = bounded.rows if bounded else 0
            yield f"{bound.column} {bound.value}: has a bound, but too few rows to judge ({rows:,})"
        elif not bounded.challenger >= sign * bound.bound:
            figure = sign * bounded.challenger
            yield f"{bounded}: {four_digits(figure)} misses its bound of {four_digits(bound.bound)}"


def _not_judged(
    slices: list[Slice], named: list[str], known: list[dict[str, Any]], rules: Rules
) -> Iterator[str]:
    """Yield columns and slices that cannot be judged now but could be for the champion."""
    for column in named:
        of_column = [each for each in slices if each.column == column]
        if column not in rules.slices.ignore and not any(each.judged for each in of_column):
            largest = max((each.rows for each in of_column), default=0)
            yield (
                f"no slice of `{column}` can be judged: the largest has {counted(largest, 'row')}; "
                f"{rules.slices.min_rows} are needed"
            )
    by_name = {(each.column, each.value): each for each in slices}
    for each in known:
        column, value, before = str(each["column"]), str(each["value"]), int(each["rows"])
        if column == MONTH or before < 2 * rules.slices.min_rows:
            continue
        current = by_name.get((column, value))
        if rules.slices.judges(column, value) and (current is None or not current.judged):
            rows = current.rows if current else 0
            yield (
                f"{column} {value}: has {counted(rows, 'row')}, too few to judge; the champion was "
                f"evaluated on {before:,}"
            )


@dataclass(frozen=True)
class Champion:
    """The model that the challenger would replace.

    Attributes:
        facts: its origin, such as version, run_id and release.
        predictions: of the test rows, as estimator.predict() returns them.
        slices: of its own evaluation, in the format of reports/slices.json.
        notes: remarks on the comparison with it.
    """

    facts: dict[str, str]
    predictions: np.ndarray
    slices: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)


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
        return allowed_loss(share, champion, self.sign > 0)


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
        except (NotComparableError, pl.exceptions.PolarsError, StageError) as error:
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
        max_drop = score.allowed(rules.slices.max_drop, compared["champion"].other)
        figures["champion"]["margin"] = margin.amount
        reasons += _worse(compared["champion"], margin, score, rows.height)
    slices = score_slices(rows, truth, challenger, others.get("champion"), score, rules)
    figures["slices"] = [_slice(each, score) for each in slices]
    named = params().get("report", {}).get("slices", [])
    before = champion.slices if champion else []
    known = [each for each in before if each.get(score.metric) is not None]
    return reasons + list(_slice_objections(slices, named, known, rules, max_drop, score.sign))


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
