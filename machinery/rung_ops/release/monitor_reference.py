"""The rows that the monitor compares with: what a model learned from, since the world last changed.

A version that learned a changed world would else be told of that change for as long as its older rows
outnumber the newer ones, and be trained again each time.
"""

from datetime import date, timedelta

import polars as pl

from rung_ops.statistics import drift

SPAN = timedelta(days=28)  # whole weeks, as days of a week differ
LEAST = 250  # rows in each of two spans that are compared
# As in ops/monitor.toml of a new project. What is found by chance costs rows of the reference, no more.
FALSE_ALARMS, LEAST_CHANGE = 0.01, 0.05


def since_change(rows: pl.DataFrame, times: pl.Series) -> date | None:
    """Find the moment since which rows, features and predictions, are alike; None if all are.

    The newest span is compared with the one before; if they are alike, both with two before, and so on.
    """
    first, newest = times.min(), times.max()
    span = SPAN
    while (since := newest - span) > first:  # type: ignore[operator]
        new = rows.filter(times >= since)
        old = rows.filter((times < since) & (times >= since - span))
        if min(new.height, old.height) >= LEAST and _differ(old, new):
            return since  # type: ignore[return-value]
        span *= 2
    return None


def _differ(old: pl.DataFrame, new: pl.DataFrame) -> bool:
    compared = drift.compare(old, new)
    tests = compared["p_value"].count()
    changed = drift.changed(FALSE_ALARMS / max(1, tests), LEAST_CHANGE)
    return not compared.filter(changed).is_empty()
