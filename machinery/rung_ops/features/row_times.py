"""The time that a row of a forecast needs its entity features of, compared with that of the store."""

from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from rung_ops.features.point_in_time import CADENCES, clock
from rung_ops.model.entity_feature import ticks


class RowTime(NamedTuple):
    """What decides which time a row needs an entity feature of; spans are in microseconds."""

    column: str  # of the row, which the lead counts from
    lead: int  # how long before it the prediction is made
    cadence: int  # how often the store is filled; the time of the prediction is rounded down to it
    zone: str  # of times without a zone
    older: int  # how far the store may be from the time that a row needs
    newer: int  # the same, where it is ahead

    def needed(self, rows: pl.DataFrame) -> np.ndarray:
        """Return the time that each row needs, by the clock of its column; of no use where that is null."""
        times = rows[self.column]
        if isinstance(times.dtype, pl.Datetime) and times.dtype.time_unit == "us":
            moments = times.to_physical()  # without a query, which takes as long as the look-up
        else:
            moments = rows.select(clock(pl.col(self.column), times.dtype)).to_series()
        made = (moments.fill_null(0) if moments.null_count() else moments).to_numpy() - self.lead
        return made // self.cadence * self.cadence

    def stored(self, rows: pl.DataFrame, as_of: int) -> int:
        """Return what the store is of, by the clock of the column; as_of is UTC."""
        kind = rows.schema[self.column]
        is_zoned = isinstance(kind, pl.Datetime) and kind.time_zone is not None
        return as_of if is_zoned else _local(as_of, self.zone)

    def differs(self, rows: pl.DataFrame, as_of: int) -> np.ndarray:
        """Tell which rows need another time than the store has, shape (n_rows,).

        A row whose time is missing does, as what it needs is unknown.
        """
        ahead = self.needed(rows) - self.stored(rows, as_of)
        differs = (ahead > self.older) | (ahead < -self.newer)
        times = rows[self.column]
        return differs | times.is_null().to_numpy() if times.null_count() else differs


def times_of(view: Mapping[str, Any]) -> list[RowTime | None]:
    """Read which time rows need each feature of, from a view of a release's contract.

    None where it is not a forecast, or a release of an earlier library does not say it.
    """
    return [_time_of(view, feature) if feature.get("at") else None for feature in view["features"]]


def _time_of(view: Mapping[str, Any], feature: Mapping[str, Any]) -> RowTime:
    cadence, max_age = _ticks(view["cadence_seconds"]), feature["max_age_seconds"]
    older = CADENCES * cadence if max_age is None else _ticks(max_age)
    # A newer value may contain what the forecast predicts, so no max_age allows more of that.
    newer = min(older, CADENCES * cadence)
    lead = _ticks(feature["lead_seconds"])
    return RowTime(feature["at"], lead, cadence, view["zone"], older, newer)


def _ticks(seconds: float) -> int:
    return ticks(timedelta(seconds=seconds))


@lru_cache(maxsize=64)
def _local(moment: int, zone: str) -> int:
    """Return what the clock of a zone shows at a time in UTC; of Polars, as images lack tzdata."""
    time = pl.Series([moment]).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(zone)
    return int(time.dt.replace_time_zone(None).to_physical()[0])
