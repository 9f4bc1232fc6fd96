"""When the prediction of a row is made, and when its outcome is known.

|dataset.py|A row is predicted (its origin)|Its outcome counts as known|
|-|-|-|
|`HORIZON`|that long before TIME|after TIME|
|`ORIGIN`|at that column|after TIME|
|neither|at TIME|after TIME|

"After" is strict: at 8:00 the value of 8:00 is not known, as it may be that of the hour which begins then.
"""

from datetime import timedelta
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from rung_ops import contract

SLICE = "horizon"  # the column of slices, where rows have an ORIGIN
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# Ends of the slices. They are the same for all data, so that slices of two versions can be compared.
ENDS = {
    **{f"{hours} h": hours * HOUR for hours in (1, 3, 6, 12, 24, 48)},
    **{f"{days} days": days * DAY for days in (3, 7, 14, 28, 91, 182, 365)},
}
LABELS = [f"up to {name}" for name in ENDS] + [f"above {list(ENDS)[-1]}"]


class Forecast(NamedTuple):
    """TIME of dataset.py, and HORIZON or ORIGIN, never both."""

    time: str
    horizon: timedelta | None
    origin: str | None

    def __str__(self) -> str:
        """Say when the prediction is made."""
        if self.horizon is None:
            return f"made at `{self.origin}` for `{self.time}`"
        return f"made {words(self.horizon)} before `{self.time}`"


def declared(dataset: Any = contract) -> Forecast | None:
    """Read the names of a forecast from dataset.py; None if it is not a forecast."""
    horizon, origin = (getattr(dataset, name, None) for name in ("HORIZON", "ORIGIN"))
    if horizon is None and origin is None:
        return None
    return Forecast(str(dataset.TIME), horizon, origin)


def series() -> list[str]:
    """Name the columns whose values tell one series from another: `Config.unique` without times."""
    return [
        name
        for name in contract.Row.to_schema().unique or []
        if name not in (contract.TIME, contract.ORIGIN, contract.TARGET)
    ]


def has_time(rows: pl.DataFrame) -> bool:
    """Tell whether the rows have a TIME that is a date or a datetime."""
    return contract.TIME is not None and rows[contract.TIME].dtype.base_type() in (
        pl.Date,
        pl.Datetime,
    )


def made_at(rows: pl.DataFrame) -> pl.Series:
    """Return the time at which each row is predicted, shape (n_rows,); TIME without a forecast."""
    forecast = declared()
    if forecast is None:
        return rows[str(contract.TIME)]
    if forecast.horizon is None:
        return _moments(rows[str(forecast.origin)])
    return known_at(rows) - forecast.horizon


def known_at(rows: pl.DataFrame) -> pl.Series:
    """Return the time after which the outcome of each row is known, shape (n_rows,)."""
    time = rows[str(contract.TIME)]
    return time if declared() is None else _moments(time)


def known_in_time(rows: pl.DataFrame, judged: pl.DataFrame) -> pl.Series:
    """Tell which rows were known before the first of `judged` is predicted, shape (n_rows,)."""
    return known_at(rows) < made_at(judged).min()


def _moments(times: pl.Series) -> pl.Series:
    """Make a day its first moment, and count in microseconds; a zone stays."""
    if times.dtype == pl.Date:
        return times.cast(pl.Datetime("us"))
    return times.dt.cast_time_unit("us")


def horizons(rows: pl.DataFrame) -> pl.Series:
    """Return how long before its TIME each row is predicted, shape (n_rows,)."""
    return known_at(rows) - made_at(rows)


def slices(rows: pl.DataFrame) -> pl.Series:
    """Name the slice of LABELS that the horizon of each row is in, shape (n_rows,)."""
    ends = [end / HOUR for end in ENDS.values()]
    hours = horizons(rows).dt.total_microseconds().to_numpy() / (HOUR / timedelta(microseconds=1))
    return pl.Series([LABELS[place] for place in np.searchsorted(ends, hours)], dtype=pl.String)


def words(span: timedelta) -> str:
    """Write a span of time for people, such as `36 hours`."""
    for unit, length in (("day", DAY), ("hour", HOUR), ("minute", HOUR / 60)):
        if span >= length and not span % length:
            number = span // length
            return f"{number:,} {unit}{'s' if number > 1 else ''}"
    return str(span)
