"""Stage: score every slice of the test rows: by month, by horizon, by columns that params.toml names."""

import json
import math
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from rung_ops import contract
from rung_ops.contract import forecast
from rung_ops.errors import StageError
from rung_ops.model.target import inside, numbers
from rung_ops.project import current
from rung_ops.project.paths import made, params
from rung_ops.statistics import jackknife, time_blocks
from rung_ops.system.printable import in_column, printable
from rung_ops.training.estimator import features, kind, truth


def slices_file() -> Path:
    """Return the path of the scores of slices."""
    return current().reports / "slices.json"


MONTH, MISSING = "month", "missing"
# Figures of fewer rows are mostly chance, and may reveal the outcome of a single person.
MIN_ROWS = 30
LEVEL = 0.95  # of the intervals
WORST = 3  # slices that are printed
NO_COLUMN = "params.toml: [report] slices names `{}`, which is neither a column nor a feature."


def slice_columns(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the columns to slice by, as text; shape (n_rows, n_slice_columns).

    Raises:
        StageError: one of them does not exist.
    """
    known = rows.with_columns(c for c in features(rows) if c.name not in rows.columns)
    names = params().get("report", {}).get("slices", [])
    for name in names:
        if name not in known.columns:
            raise StageError(NO_COLUMN.format(name))
    columns = {name: known[name].cast(pl.String) for name in names}
    if contract.TIME is not None:
        columns[MONTH] = rows[contract.TIME].dt.strftime("%Y-%m")
    if contract.ORIGIN is not None:
        columns.setdefault(forecast.SLICE, forecast.slices(rows))
    return pl.DataFrame({name: values.fill_null(MISSING) for name, values in columns.items()})


def score_by_slice(rows: pl.DataFrame, predicted: np.ndarray) -> pl.DataFrame:
    """Score every slice of the rows.

    Args:
        rows: test rows.
        predicted: from estimator.predict().

    Returns:
        One row for each slice: column, value, rows, mean_truth, mean_predicted (neither where the
        target is one of several classes), where there are QUANTILES interval_coverage, and each
        figure of score(); null if the slice has fewer than MIN_ROWS rows or a single class.
    """
    actual = truth(rows)
    slices = []
    columns = slice_columns(rows)
    for column in columns.columns:
        values = columns[column]
        for value in sorted(values.unique(), key=sort_key):
            inside = (values == value).to_numpy()
            slices.append(
                {
                    "column": column,
                    "value": value,
                    "rows": int(inside.sum()),
                    **_figures(actual[inside], predicted[inside]),
                }
            )
    empty = {"column": pl.String, "value": pl.String, "rows": pl.Int64}
    schema = None if slices else empty
    return pl.DataFrame(slices or None, schema=schema, infer_schema_length=None)


def half_widths(rows: pl.DataFrame, predicted: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Compute how far the interval of each figure of score() reaches to either side.

    Args:
        rows: test rows.
        predicted: from estimator.predict().
        names: of the figures.

    Returns:
        Shape (n_names,), of intervals of LEVEL by the jackknife; NaN where a figure has none.
    """
    actual = truth(rows)

    def figures(chosen: np.ndarray) -> np.ndarray:
        found = contract.score(actual[chosen], predicted[chosen])
        return np.array([float(found.get(name, math.nan)) for name in names])

    try:
        group = time_blocks.groups(rows, params()["seed"], jackknife.GROUPS)
    except jackknife.NotComparableError:
        return np.full(len(names), math.nan)
    with warnings.catch_warnings(action="ignore"):
        halves = jackknife.half_widths(figures, group, LEVEL)
    return np.broadcast_to(halves, len(names))


def with_intervals(
    slices: pl.DataFrame, rows: pl.DataFrame, predicted: np.ndarray, metric: str
) -> pl.DataFrame:
    """Add the interval of each slice's metric.

    Args:
        slices: of score_by_slice().
        rows, predicted: its arguments.
        metric: a figure of score().

    Returns:
        The slices with low and high, null where the metric has no interval.
    """
    columns, halves = slice_columns(rows), []
    for column, value, figure in slices.select("column", "value", metric).iter_rows():
        chosen = (columns[column] == value).to_numpy()
        found = figure is not None
        half = (
            half_widths(rows.filter(chosen), predicted[chosen], [metric])[0] if found else math.nan
        )
        halves.append(half if math.isfinite(half) else None)
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
    rows = pl.read_parquet(made(current().predictions))
    slices = score_by_slice(rows, rows["predicted"].to_numpy())
    slices_file().write_text(json.dumps(slices.to_dicts(), indent=2) + "\n", encoding="utf-8")
    score = params()["score"]
    metric = score["metric"]
    if metric in slices.columns:
        scored = slices.drop_nulls(metric).sort(metric, descending=not score["higher_is_better"])
        for worst in scored.head(WORST).iter_rows(named=True):
            figure = f"{metric} {in_column(worst[metric], 4)}, {worst['rows']:,} rows"
            print(printable(f"{worst['column']} {worst['value']}: {figure}"))
    return 0
