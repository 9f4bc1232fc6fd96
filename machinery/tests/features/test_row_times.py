"""Which time a row needs its entity features of, and how far that is from the store's."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from rung_ops.features.row_times import RowTime, times_of

HOUR = 3_600_000_000  # microseconds
EPOCH = datetime(1970, 1, 1)
DAY = RowTime("at", 6 * HOUR, 24 * HOUR, "America/New_York", 24 * HOUR, 24 * HOUR)


@pytest.mark.parametrize(
    "kind",
    [pl.Datetime("us"), pl.Datetime("ms"), pl.Datetime("us", "Europe/Berlin"), pl.Date()],
    ids=str,
)
def test_the_time_is_rounded_down_as_in_training(kind: pl.DataType) -> None:
    times = [datetime(2026, 7, 1) + n * timedelta(hours=5) for n in range(-20, 20)]
    rows = pl.DataFrame({"at": pl.Series(times).cast(pl.Datetime("us", "UTC")).cast(kind)})
    if isinstance(kind, pl.Datetime) and kind.time_zone is None:
        rows = pl.DataFrame({"at": pl.Series(times, dtype=kind)})

    for at, needed in zip(rows["at"], DAY.needed(rows), strict=True):
        moment = datetime(at.year, at.month, at.day) if isinstance(at, date) else at
        if isinstance(at, datetime):
            moment = at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at
        made = moment - timedelta(hours=6)
        assert EPOCH + timedelta(microseconds=int(needed)) == datetime(
            made.year, made.month, made.day
        )


def test_the_ends_are_allowed_and_a_missing_time_is_not() -> None:
    as_of = int(datetime(2026, 7, 1, 4, tzinfo=UTC).timestamp() * 1e6)
    days = [datetime(2026, 7, 1, 6) + n * timedelta(days=1) for n in range(-2, 3)]
    rows = pl.DataFrame({"at": [*days, None]})

    differs = DAY.differs(rows, as_of)

    assert np.array_equal(differs, [True, False, False, False, True, True])


@pytest.mark.parametrize(
    ("max_age", "older", "newer"), [(None, 2, 2), (3_600.0, 1, 1), (36_000.0, 10, 2)]
)
def test_the_cadence_bounds_how_much_newer_a_value_may_be(
    max_age: float | None, older: int, newer: int
) -> None:
    feature = {"name": "a", "max_age_seconds": max_age, "at": "at", "lead_seconds": 0.0}
    view = {"cadence_seconds": 3_600.0, "zone": "UTC", "features": [feature]}

    assert times_of(view) == [RowTime("at", 0, HOUR, "UTC", older * HOUR, newer * HOUR)]
