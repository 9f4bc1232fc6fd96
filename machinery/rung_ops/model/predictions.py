"""Predictions of several rows: their shape, their columns in logs and answers, how far they differ.

|Predicted|Shape|`prediction`|Beside it|
|-|-|-|-|
|one number|(n_rows,)|the number||
|probabilities of classes|(n_rows, n_classes)|the most probable class|`probabilities`, by name|
|quantiles|(n_rows, 3)|the median|`interval`: low, high, and the level, the share of rows that it is to hold|
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from rung_ops.model.target import Kind

PREDICTION, PROBABILITIES, INTERVAL = "prediction", "probabilities", "interval"
LOW, HIGH, LEVEL = "low", "high", "level"  # fields of the interval


def shape(n_rows: int, kind: Kind) -> tuple[int, ...]:
    """Return the shape of the predictions of some rows."""
    return (n_rows, kind.width) if kind.width else (n_rows,)


def finite_rows(predictions: np.ndarray) -> np.ndarray:
    """Tell of each row whether all that was predicted for it are finite numbers; shape (n_rows,)."""
    finite = np.isfinite(predictions.astype(float))
    return finite if finite.ndim == 1 else np.asarray(finite.all(axis=1))


def numbers(predictions: np.ndarray, kind: Kind) -> np.ndarray:
    """Return one number for each row: the value, the median, the place of the class; (n_rows,)."""
    if kind.classes:
        return predictions.argmax(axis=1).astype(float)
    return np.asarray(predictions[:, 1]) if kind.quantiles else predictions


def inside(truth: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """Tell of each row whether its interval holds the truth; shape (n_rows,).

    Args:
        truth: shape (n_rows,).
        predictions: low, median and high, shape (n_rows, 3).
    """
    return np.asarray((predictions[:, 0] <= truth) & (truth <= predictions[:, 2]))


def distances(one: np.ndarray, other: np.ndarray, kind: Kind) -> np.ndarray:
    """Return how far two sets of predictions of the same rows lie apart; shape (n_rows,).

    For classes it is half the sum of the differences: the probability that moved, in [0, 1]. For
    quantiles it is their mean.
    """
    apart = np.abs(one - other)
    if kind.classes:
        return np.asarray(apart.sum(axis=1) / 2)
    return np.asarray(apart.mean(axis=1)) if kind.quantiles else apart


def labels(predictions: np.ndarray, names: Sequence[str]) -> list[str]:
    """Name the most probable class of each row; of equal ones the first.

    Args:
        predictions: shape (n_rows, n_classes).
        names: of the classes.
    """
    return [names[code] for code in predictions.argmax(axis=1)]


def columns(predictions: np.ndarray, kind: Kind) -> list[pl.Series]:
    """Write predictions as columns: `prediction`, and a struct beside it where there is more.

    Args:
        predictions: as shape() says.
        kind: of the target.
    """
    if kind.classes:
        each = pl.DataFrame(
            {name: predictions[:, code] for code, name in enumerate(kind.classes)},
            schema=dict.fromkeys(kind.classes, pl.Float64),
        )
        chosen = pl.Series(PREDICTION, labels(predictions, kind.classes), dtype=pl.String)
        return [chosen, each.to_struct(PROBABILITIES)]
    if kind.quantiles:
        low, median, high = predictions.T
        ends = {LOW: low, HIGH: high, LEVEL: np.full(len(low), kind.level)}
        interval = pl.DataFrame(ends, schema=dict.fromkeys(ends, pl.Float64))
        return [pl.Series(PREDICTION, median, dtype=pl.Float64), interval.to_struct(INTERVAL)]
    return [pl.Series(PREDICTION, predictions, dtype=pl.Float64)]


def packed(kind: Kind) -> pl.Expr:
    """Take all that was predicted from what columns() wrote, as one column for unpacked()."""
    if kind.classes:
        return pl.col(PROBABILITIES)
    return pl.struct(PREDICTION, INTERVAL) if kind.quantiles else pl.col(PREDICTION)


def unpacked(values: pl.Series, kind: Kind) -> np.ndarray:
    """Read predictions back from a column of packed(); as shape() says."""
    if kind.classes:
        return values.struct.unnest().select(kind.classes).to_numpy()
    if kind.quantiles:
        both = values.struct.unnest()
        ends = both[INTERVAL].struct
        return np.column_stack([ends.field(LOW), both[PREDICTION], ends.field(HIGH)])
    return values.to_numpy()
