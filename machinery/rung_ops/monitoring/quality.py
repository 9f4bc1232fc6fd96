"""How good the predictions were, by day and by slice, where enough outcomes are known.

Where the release predicts intervals, also how many of the outcomes they held, compared with what
QUANTILES promise.
"""

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl

from rung_ops.gate import rules
from rung_ops.model import target
from rung_ops.model.target import ONE_NUMBER, Kind, inside, numbers, packed, unpacked
from rung_ops.monitoring.limits import Limits
from rung_ops.monitoring.outcomes import TRUTH
from rung_ops.monitoring.release_info import Score
from rung_ops.statistics import jackknife
from rung_ops.statistics.intervals import wilson_interval

RECENT, DAY = "recent", "day"  # in place of a slice's column: all of the newest days, one day


@dataclass(frozen=True)
class QualityMetric:
    """What quality is measured by."""

    score: Score
    metric: str
    higher_is_better: bool
    metrics: Mapping[str, float]  # the release's figures on its test rows
    slices: list[dict[str, Any]]
    columns: list[str]  # to slice by: names of columns or features
    classes: bool  # whether the truth is a class, 0 or 1, and no value
    seed: int
    kind: Kind = ONE_NUMBER

    def expected(self, column: str, value: str) -> float | None:
        """Give the figure on the test rows, of a slice or of all."""
        if column in (RECENT, DAY):
            return self.metrics.get(self.metric)
        return self._slice(column, value).get(self.metric)

    def tested(self, column: str, value: str) -> int | None:
        """Count the test rows of a slice; None if the release does not say."""
        return self._slice(column, value).get("rows")

    def _slice(self, column: str, value: str) -> dict[str, Any]:
        for known in self.slices:
            if (known["column"], known["value"]) == (column, value):
                return known
        return {}


def measure_interval(
    truth: np.ndarray, predicted: np.ndarray, promised: float, seed: int
) -> dict[str, Any]:
    """Measure the share of outcomes inside their interval; nothing where there are too few rows."""
    held = inside(truth, predicted)
    group = jackknife.dealt(len(held), seed)
    error = jackknife.standard_error(lambda rows: float(held[rows].mean()), group)
    if not np.isfinite(error):
        return {}
    share, half = float(held.mean()), jackknife.student_t_quantile(SHOWN_ERROR) * error
    low, high = max(share - half, 0.0), min(share + half, 1.0)
    if not error:  # all rows are alike, of which the jackknife knows no interval
        deviations = NormalDist().inv_cdf(1 - SHOWN_ERROR / 2)
        low, high = wilson_interval(int(held.sum()), len(held), deviations)
    ends = {"held_low": low, "held_high": high}
    return {"held": share, "held_error": error, **ends, "promised": promised}


MISSING = "missing"
# Of a day, whose interval is only drawn: half as many evaluations of score() for most of the rows.
DAY_GROUPS = 10
SHOWN_ERROR = 0.05  # of the intervals in the table: they hold the true figure 19 times in 20
MAX_ROWS = 100_000  # more rows cost seconds and add no useful certainty

INTERVAL = ("held", "held_error", "held_low", "held_high", "promised")
SCHEMA: dict[str, Any] = {
    **dict.fromkeys(("column", "value"), pl.String),
    **dict.fromkeys(("predictions", "outcomes"), pl.Int64),
    **dict.fromkeys(("coverage", "mean_truth", "mean_predicted"), pl.Float64),
    **dict.fromkeys(("figure", "error", "low", "high", "expected"), pl.Float64),
    "allowed": pl.String,
    "worse": pl.Boolean,
    **dict.fromkeys(INTERVAL, pl.Float64),
    "missed": pl.Boolean,
}
PREDICTED, DRAW = "predicted", "drawn"


def judge(
    joined: pl.DataFrame | Iterable[pl.DataFrame], quality_metric: QualityMetric, limits: Limits
) -> pl.DataFrame:
    """Score each day, the newest days together, and their slices, of rows from outcomes.join().

    Args:
        joined: all rows, or one block at least after the other.

    Returns:
        One row each, of SCHEMA. First `recent`: all predictions of the newest days of which enough
        outcomes are known, as many days as a check looks back. Then its slices, then every day.
        coverage: share of predictions whose outcome is known; figure, low, high: the deciding
        figure and its 95 % interval, null where too few outcomes are known; expected: that of the
        test rows; allowed: how far it may be worse, in words; worse: whether it is, judged for `recent`
        and its slices with an error that they share, null if it is not known. held to missed:
        where the release predicts intervals.
    """
    counts, known = _counted(joined, quality_metric)
    days = counts[DAY].group_by(DAY).agg(SUMS)
    enough = days.filter(pl.col("known") >= limits.outcomes.min_coverage * pl.col("rows"))
    newest = enough.sort(DAY, descending=True).head(math.ceil(limits.window.days))[DAY]
    is_recent = pl.col(DAY).is_in(newest.implode())
    recent = known.filter(is_recent)

    def figures_of(column: str, name: str, rows: pl.DataFrame) -> list[dict[str, Any]]:
        """Score the rows by the values of a column."""
        of_values = counts[name].filter(is_recent) if rows is recent else counts[name]
        return [
            _row(column, value, number, rows.filter(pl.col(name) == value), quality_metric, limits)
            for value, *number in of_values.group_by(name).agg(SUMS).sort(name).iter_rows()
        ]

    of_all = days.filter(is_recent).select(SUMS).row(0)
    figures = [_row(RECENT, "all", of_all, recent, quality_metric, limits)]
    for name in quality_metric.columns:
        figures += figures_of(name, name, recent)
    _compare_with_the_test(figures, quality_metric, limits)
    figures += figures_of(DAY, DAY, known)
    return pl.DataFrame(figures, schema=SCHEMA)


SUMS = pl.col("rows", "known").sum()


def _counted(
    joined: pl.DataFrame | Iterable[pl.DataFrame], quality_metric: QualityMetric
) -> tuple[dict[str, pl.DataFrame], pl.DataFrame]:
    """Count rows and outcomes by day, and by day and slice; keep the rows that are scored.

    Returns:
        The counts by DAY or the column of slices; and of the rows with an outcome those of which a
        day, or a slice of a day, has the MAX_ROWS first ones in an order that is drawn.
    """
    groups = {name: list(dict.fromkeys((DAY, name))) for name in (DAY, *quality_metric.columns)}
    counts: dict[str, list[pl.DataFrame]] = {name: [] for name in groups}
    known, draws = list[pl.DataFrame](), np.random.default_rng(quality_metric.seed)
    for block in [joined] if isinstance(joined, pl.DataFrame) else joined:
        rows = block.select(
            pl.col("time").dt.date().cast(pl.String).alias(DAY),
            packed(quality_metric.kind).alias(PREDICTED),
            TRUTH,
            *(_slice(block, name) for name in quality_metric.columns),
        )
        for name, columns in groups.items():
            number = rows.group_by(columns).agg(rows=pl.len(), known=pl.col(TRUTH).count())
            counts[name].append(number)
        with_outcome = rows.filter(pl.col(TRUTH).is_not_null())
        drawn = with_outcome.with_columns(pl.Series(DRAW, draws.random(with_outcome.height)))
        known = [_first_drawn(pl.concat([*known, drawn]), groups.values())]
    return {name: pl.concat(tables) for name, tables in counts.items()}, known[0]


def _first_drawn(rows: pl.DataFrame, groups: Iterable[list[str]]) -> pl.DataFrame:
    if rows.height <= MAX_ROWS:
        return rows
    rank = pl.col(DRAW).rank("ordinal")
    return rows.filter(pl.any_horizontal(rank.over(columns) <= MAX_ROWS for columns in groups))


def _slice(joined: pl.DataFrame, name: str) -> pl.Expr:
    """Take a column of the row, or a feature, as text."""
    for source in ("row", "features"):
        kind = joined.schema[source]
        if isinstance(kind, pl.Struct) and name in {each.name for each in kind.fields}:
            value = pl.col(source).struct.field(name)
            return value.cast(pl.String).fill_null(MISSING).alias(name)
    return pl.lit(MISSING).alias(name)


def _row(
    column: str,
    value: str,
    number: Sequence[int],
    known: pl.DataFrame,
    quality_metric: QualityMetric,
    limits: Limits,
) -> dict[str, Any]:
    """Score rows, of which `number` tells how many there are, and how many with an outcome."""
    predictions, outcomes = number
    coverage = outcomes / max(1, predictions)
    row: dict[str, Any] = {
        "column": column,
        "value": value,
        "predictions": predictions,
        "outcomes": outcomes,
        "coverage": coverage,
    }
    if outcomes < limits.outcomes.min_rows or coverage < limits.outcomes.min_coverage:
        return row
    if column == DAY and not limits.outcomes.score_days:
        return row
    known = known.filter(pl.col(DRAW).rank("ordinal") <= MAX_ROWS)
    kind = quality_metric.kind
    predicted = unpacked(known[PREDICTED], kind)
    if kind.classes:
        truth = target.truth(known[TRUTH], kind.classes)
    else:
        truth = known[TRUTH].cast(pl.Int8 if quality_metric.classes else pl.Float64).to_numpy()
        mean = float(numbers(predicted, kind).mean())
        row |= {"mean_truth": float(truth.mean()), "mean_predicted": mean}
    if kind.quantiles:
        row |= measure_interval(truth, predicted, kind.level, quality_metric.seed)

    def figure(chosen: np.ndarray) -> float:
        with warnings.catch_warnings(action="ignore"):
            return float(
                quality_metric.score(truth[chosen], predicted[chosen])[quality_metric.metric]
            )

    groups = DAY_GROUPS if column == DAY else jackknife.GROUPS
    dealt = jackknife.dealt(known.height, quality_metric.seed, groups)
    error = jackknife.standard_error(figure, dealt)
    if math.isfinite(error):
        whole = figure(np.arange(known.height))
        quantile = jackknife.student_t_quantile(SHOWN_ERROR, groups)
        row |= {"figure": whole, "error": error}
        row |= {"low": whole - quantile * error, "high": whole + quantile * error}
        row["expected"] = quality_metric.expected(column, value)
    return row


def _compare_with_the_test(
    rows: list[dict[str, Any]], quality_metric: QualityMetric, limits: Limits
) -> None:
    """Say what is worse than on the test rows, or promised, with an error that all share."""
    judged = [row for row in rows if row.get("expected") is not None]
    recent = rows[0]
    tests = len(judged) + (recent.get("held") is not None)
    if not tests:
        return
    error_rate = limits.outcomes.false_alarms / tests
    # Only one end of an interval can be a false alarm, so each may miss at both ends together twice as
    # often.
    quantile = jackknife.student_t_quantile(2 * error_rate)
    if recent.get("held") is not None:
        miss = abs(recent["held"] - recent["promised"]) - quantile * recent["held_error"]
        recent["missed"] = bool(miss > limits.outcomes.most_miss)
    sign = 1 if quality_metric.higher_is_better else -1
    for row in judged:
        lost = sign * (row["expected"] - row["figure"])
        error = row["error"]
        if tested := quality_metric.tested(row["column"], row["value"]):
            # What is expected of a slice comes from rows, too, often few: it errs by itself.
            error *= math.sqrt(1 + min(row["outcomes"], MAX_ROWS) / tested)
        share, higher = limits.outcomes.most_drop, quality_metric.higher_is_better
        allowed = rules.allowed_loss(share, row["expected"], higher)
        row["allowed"] = str(allowed)
        row["worse"] = bool(lost - quantile * error > allowed.amount)
