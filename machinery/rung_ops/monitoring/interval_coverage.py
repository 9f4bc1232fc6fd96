"""How many of the outcomes the predicted intervals held, beside what QUANTILES promise."""

from typing import Any

import numpy as np
import polars as pl

from rung_ops.model.target import inside
from rung_ops.statistics import jackknife

SCHEMA: dict[str, Any] = {
    "held": pl.Float64,
    "held_error": pl.Float64,
    "held_low": pl.Float64,
    "held_high": pl.Float64,
    "promised": pl.Float64,
    "missed": pl.Boolean,
}


def measure(
    truth: np.ndarray, predicted: np.ndarray, promised: float, seed: int, shown_error: float
) -> dict[str, Any]:
    """Measure the share of outcomes inside their interval, with a confidence interval.

    Args:
        truth: shape (n_rows,).
        predicted: low, median and high, shape (n_rows, 3).
        promised: the share that it is to hold.
        seed: of the jackknife.
        shown_error: of the interval of the share.

    Returns:
        Columns of SCHEMA, but for `missed`; none if there are too few rows.
    """
    held = inside(truth, predicted)
    group = jackknife.dealt(len(held), seed)
    error = jackknife.standard_error(lambda rows: float(held[rows].mean()), group)
    if not np.isfinite(error):
        return {}
    share, half = float(held.mean()), jackknife.student_t_quantile(shown_error) * error
    ends = {"held_low": max(share - half, 0.0), "held_high": min(share + half, 1.0)}
    return {"held": share, "held_error": error, **ends, "promised": promised}


def judge(row: dict[str, Any], error_rate: float, most_miss: float) -> None:
    """Say whether a share is farther from the promised one than it may be, beyond chance.

    Args:
        row: with what measure() gives, if anything; gets `missed`.
        error_rate: how often a share that is just not too far may be taken for one that is.
        most_miss: how far it may be.
    """
    if row.get("held") is not None:
        sure = jackknife.student_t_quantile(2 * error_rate) * row["held_error"]
        row["missed"] = bool(abs(row["held"] - row["promised"]) - sure > most_miss)
