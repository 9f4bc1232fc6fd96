"""The score of every slice: by month, and by the columns that params.toml names."""

import math
import warnings

import numpy as np
import polars as pl

from rung_ops import contract
from rung_ops.project.paths import params
from rung_ops.training.estimator import features, truth

MONTH = "month"
# Rows; below, figures are mostly chance, and may tell the outcome of a single person.
SMALLEST = 30


def slice_columns(rows: pl.DataFrame) -> pl.DataFrame:
    """Take the columns to slice by, as text; shape (n_rows, n_slice_columns)."""
    known = rows.with_columns(c for c in features(rows) if c.name not in rows.columns)
    names = params().get("report", {}).get("slices", [])
    columns = known.select(pl.col(name).cast(pl.String).fill_null("missing") for name in names)
    if contract.TIME is None:
        return columns
    return columns.with_columns(rows[contract.TIME].dt.strftime("%Y-%m").alias(MONTH))


def score_by_slice(rows: pl.DataFrame, predicted: np.ndarray) -> pl.DataFrame:
    """Score every slice on its own.

    Args:
        rows: test rows.
        predicted: shape (n_rows,), as estimator.predict() returns it.

    Returns:
        One row a slice: column, value, rows, mean_truth, mean_predicted and each figure of
        score(); null where a slice has fewer than SMALLEST rows, or one class only.
    """
    actual = truth(rows)
    found = []
    columns = slice_columns(rows)
    for column in columns.columns:
        values = columns[column]
        for value in sorted(values.unique(), key=_in_order):
            inside = (values == value).to_numpy()
            found.append(
                {
                    "column": column,
                    "value": value,
                    "rows": int(inside.sum()),
                    **_figures(actual[inside], predicted[inside]),
                }
            )
    nothing = {"column": pl.String, "value": pl.String, "rows": pl.Int64}
    return pl.DataFrame(found or None, schema=None if found else nothing, infer_schema_length=None)


def _in_order(value: str) -> tuple[float, str]:
    """Sort numbers by size, and words behind them by the alphabet."""
    try:
        return float(value), value
    except ValueError:
        return math.inf, value


def _figures(actual: np.ndarray, predicted: np.ndarray) -> dict[str, float | None]:
    if len(actual) < SMALLEST:
        return {}
    means: dict[str, float | None] = {
        "mean_truth": float(actual.mean()),
        "mean_predicted": float(predicted.mean()),
    }
    try:
        with warnings.catch_warnings(action="ignore"):
            figures = contract.score(actual, predicted)
    except ValueError:  # a figure that is not defined, as AUC of one class; some warn and give NaN
        return means
    means |= {name: float(value) for name, value in figures.items() if math.isfinite(value)}
    return means
