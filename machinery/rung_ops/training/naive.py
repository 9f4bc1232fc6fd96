"""Naive forecasts: what a series was before, as it was known when the forecast was made."""

import numpy as np
import polars as pl

from rung_ops import contract
from rung_ops.contract import forecast
from rung_ops.model import target
from rung_ops.model.entity_feature import ticks
from rung_ops.training import estimator

LAST_VALUE, SEASONAL = "last_value", "seasonal_naive"
AT, ROW, VALUE = "__at", "__row", "__value"


def forecasts(
    train: pl.DataFrame, rows: pl.DataFrame, history: pl.DataFrame
) -> dict[str, np.ndarray]:
    """Predict rows by the values of their series that were known when the forecast was made.

    Args:
        train: training rows; the residuals of QUANTILES are theirs.
        rows: to predict.
        history: all rows, with their target.

    Returns:
        By name, each of shape (n_rows,), NaN where there is no such value: the last value, and
        where there is a SEASON the value of as few seasons before TIME as were known. Of QUANTILES
        it is the median, between the quantiles of its residuals: shape (n_rows, 3).
    """
    ways = {LAST_VALUE: last_value}
    if contract.SEASON is not None:
        ways[SEASONAL] = seasonal
    return {
        name: _with_interval(way(rows, history), way(train, history), estimator.truth(train))
        for name, way in ways.items()
    }


def last_value(rows: pl.DataFrame, history: pl.DataFrame) -> np.ndarray:
    """Take the newest value of the series of each row that was known; shape (n_rows,)."""
    return _values(rows, history, forecast.made_at(rows).to_physical() - 1, exact=False)


def seasonal(rows: pl.DataFrame, history: pl.DataFrame) -> np.ndarray:
    """Take the value k seasons before TIME, of the smallest k that was known; shape (n_rows,)."""
    season = ticks(contract.SEASON)  # type: ignore[arg-type]
    horizon = forecast.horizons(rows).dt.total_microseconds()
    time = forecast.known_at(rows).to_physical()
    return _values(rows, history, time - (horizon // season + 1) * season, exact=True)


def _values(
    rows: pl.DataFrame, history: pl.DataFrame, moments: pl.Series, *, exact: bool
) -> np.ndarray:
    """Look up the value of each row's series at a moment, or the newest one until then.

    Args:
        rows: to predict.
        history: rows with their target.
        moments: in microseconds, shape (n_rows,).
        exact: whether the value has to be of that moment.
    """
    series = forecast.series()
    known = (
        history.select(
            *series,
            forecast.known_at(history).to_physical().alias(AT),
            pl.col(contract.TARGET).cast(pl.Float64).fill_nan(None).alias(VALUE),
        )
        .drop_nulls(VALUE)
        .unique([*series, AT], keep="last", maintain_order=True)  # once for each origin
        .sort(AT)
    )
    wanted = rows.select(*series, moments.alias(AT)).with_row_index(ROW)
    if exact:
        matched = wanted.join(known, on=[*series, AT], how="left")
    else:
        matched = wanted.sort(AT).join_asof(known, on=AT, by=series or None, check_sortedness=False)
    return matched.sort(ROW)[VALUE].fill_null(float("nan")).to_numpy()


def _with_interval(median: np.ndarray, before: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Put quantiles around a forecast, where QUANTILES asks for them.

    Args:
        median: the forecast, shape (n_rows,).
        before: the same of the training rows, shape (n_train,).
        truth: of the training rows, shape (n_train,).
    """
    quantiles = estimator.kind().quantiles
    if not quantiles:
        return median
    residuals = (truth - before)[np.isfinite(before)]
    low, _, high = np.quantile(residuals, quantiles) if len(residuals) else np.zeros(3)
    each = np.column_stack([median + low, median, median + high])
    return target.of_regressor(each, target.QUANTILE)
