"""Stage: score every slice of the test rows: by month, by horizon, by columns that params.toml names."""

import json
import math
import warnings
from collections.abc import Sequence

import numpy as np
import polars as pl

from rung_ops import contract
from rung_ops.contract import forecast
from rung_ops.model.target import inside, numbers
from rung_ops.project import current
from rung_ops.project.paths import made, params
from rung_ops.statistics import jackknife
from rung_ops.statistics.intervals import finite
from rung_ops.system.printable import in_column, printable
from rung_ops.training import judged_rows
from rung_ops.training.estimator import kind, truth
from rung_ops.training.judged_rows import slice_columns

# Figures of fewer rows are mostly chance, and may reveal the outcome of a single person.
MIN_ROWS = 30
LEVEL = 0.95  # of the intervals
WORST = 3  # slices that are printed


def score_by_slice(rows: pl.DataFrame, predicted: np.ndarray) -> pl.DataFrame:
    """Score every slice: its rows, means, coverage of the interval, and figures of score()."""
    actual = truth(rows)
    slices = []
    for values in slice_columns(rows):
        for value in sorted(values.unique(), key=sort_key):
            chosen = (values == value).to_numpy()
            named = {"column": values.name, "value": value, "rows": int(chosen.sum())}
            slices.append(named | _figures(actual[chosen], predicted[chosen]))
    empty = {"column": pl.String, "value": pl.String, "rows": pl.Int64}
    schema = None if slices else empty
    return pl.DataFrame(slices or None, schema=schema, infer_schema_length=None)


def half_widths(rows: pl.DataFrame, predicted: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Compute half the interval of each named figure of score() by the jackknife.

    NaN without one; 0 where it cannot be given, as the figure is the same whichever rows are left out.
    """
    actual = truth(rows)

    def figures(chosen: np.ndarray) -> np.ndarray:
        found = contract.score(actual[chosen], predicted[chosen])
        return np.array([float(found.get(name, math.nan)) for name in names])

    try:
        group = jackknife.groups_in_time(rows, params()["seed"], jackknife.GROUPS)
    except jackknife.NotComparableError:
        return np.full(len(names), math.nan)
    with warnings.catch_warnings(action="ignore"):
        halves = jackknife.half_widths(figures, group, LEVEL)
    return np.broadcast_to(halves, len(names))


def with_intervals(
    slices: pl.DataFrame, rows: pl.DataFrame, predicted: np.ndarray, metric: str
) -> pl.DataFrame:
    """Add low and high to slices, null where the metric has no interval."""
    columns, halves = slice_columns(rows), []
    for column, value, figure in slices.select("column", "value", metric).iter_rows():
        reach = None
        if figure is not None:
            chosen = (columns[column] == value).to_numpy()
            reach = finite(float(half_widths(rows.filter(chosen), predicted[chosen], [metric])[0]))
        halves.append(reach or None)
    half = pl.Series(halves, dtype=pl.Float64)
    return slices.with_columns(low=pl.col(metric) - half, high=pl.col(metric) + half)


def sort_key(value: str) -> tuple[float, str]:
    """Sort horizons and numbers by size, then text alphabetically."""
    if value in forecast.LABELS:
        return forecast.LABELS.index(value), value
    try:
        return float(value), value
    except ValueError:
        return math.inf, value


def _figures(actual: np.ndarray, predicted: np.ndarray) -> dict[str, float | None]:
    if len(actual) < MIN_ROWS:
        return {}
    means: dict[str, float | None] = {}
    predicts = kind()
    if not predicts.classes:
        mean = float(numbers(predicted, predicts).mean())
        means = {"mean_truth": float(actual.mean()), "mean_predicted": mean}
    if predicts.quantiles:
        means["interval_coverage"] = float(inside(actual, predicted).mean())
    try:
        with warnings.catch_warnings(action="ignore"):
            figures = contract.score(actual, predicted)
    except ValueError:  # an undefined figure, such as the AUC of one class; others warn, give NaN
        return means
    means |= {name: float(value) for name, value in figures.items() if math.isfinite(value)}
    return means


def main() -> int:
    """Write reports/slices.json and print the worst slices; return the exit code."""
    rows = judged_rows.read(made(current().predictions))
    slices = score_by_slice(rows, rows["predicted"].to_numpy())
    text = json.dumps(slices.to_dicts(), indent=2) + "\n"
    (current().reports / "slices.json").write_text(text, encoding="utf-8")
    score = params()["score"]
    metric = score["metric"]
    if metric in slices.columns:
        scored = slices.drop_nulls(metric).sort(metric, descending=not score["higher_is_better"])
        for worst in scored.head(WORST).iter_rows(named=True):
            figure = f"{metric} {in_column(worst[metric], 4)}, {worst['rows']:,} rows"
            print(printable(f"{worst['column']} {worst['value']}: {figure}"))
    return 0
