"""Which rows of training the monitor compares with."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from rung_ops.release.make import since_change

DAYS, DAILY = 365, 27
NEWEST = date(2026, 12, 31)


@pytest.mark.parametrize("kind", [pl.Date, pl.Datetime("us", "UTC")])
@pytest.mark.parametrize(("changed", "expected"), [(0, None), (20, 28), (70, 56), (DAYS, None)])
def test_the_reference_begins_after_the_last_change(
    kind: pl.DataType, changed: int, expected: int | None
) -> None:
    """A span that holds the change is taken where it is the newest: all of its rows are not older."""
    draws = np.random.default_rng(3)
    age = np.repeat(np.arange(DAYS)[::-1], DAILY)
    group = np.where(age < changed, draws.choice(["b", "new"], len(age)), "b")
    rows = pl.DataFrame({"size": draws.normal(size=len(age)), "group": group})
    times = pl.Series([NEWEST - timedelta(days=int(days)) for days in age]).cast(kind)

    since = since_change(rows, times)

    assert since == (None if expected is None else times.max() - timedelta(days=expected))


def test_few_rows_are_compared_in_longer_spans() -> None:
    """Two hundred rows of each four weeks are too few: the newest eight are compared with eight."""
    age = np.repeat(np.arange(DAYS)[::-1], 7)
    rows = pl.DataFrame({"size": np.where(age < 60, 5.0, 1.0)})
    times = pl.Series([NEWEST - timedelta(days=int(days)) for days in age])

    assert since_change(rows, times) == NEWEST - timedelta(days=56)
