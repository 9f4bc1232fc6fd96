"""Blocks of time: errors of forecasts that are made one after another are alike, so they stay together."""

from datetime import timedelta

import numpy as np
import polars as pl

from rung_ops.contract import forecast
from rung_ops.model.entity_feature import ticks
from rung_ops.statistics.jackknife import NotComparableError, dealt

LEAST = 10  # of fewer blocks the spread says little
# Student's t holds for these, too (Ibragimov and Müller 2010, JBES 28(4)), but sees large losses only.
FEW = 4
MOST = 20  # shorter ones would be too alike; docs/gate.md has the rates of errors


def groups(rows: pl.DataFrame, seed: int, most: int, least: int = LEAST) -> np.ndarray:
    """Put rows into groups for jackknife: dealt at random; of a forecast, blocks of time.

    Returns:
        The number of each row's group, from 0, shape (n_rows,). A block has rows that are predicted
        one after another. It is at least the longest horizon long, and all have about as many rows.

    Raises:
        NotComparableError: there are fewer than `least` blocks.
    """
    if forecast.declared() is None:
        return dealt(rows.height, seed, most)
    made = forecast.made_at(rows).to_physical().to_numpy()
    longest = forecast.horizons(rows).max() or timedelta()
    assert isinstance(longest, timedelta)
    return blocks(made, ticks(longest), most, least)


def blocks(made: np.ndarray, longest: int, most: int = MOST, least: int = LEAST) -> np.ndarray:
    """Put rows into blocks of time, as groups() does; needs no project.

    `made` is when each row is predicted, `longest` the longest horizon, both in microseconds.
    """
    order = np.argsort(made, kind="stable")
    starts = _starts(made[order], longest, len(made) / min(most, MOST))
    if len(starts) < least:
        horizon = forecast.words(timedelta(microseconds=longest))
        raise NotComparableError(
            f"the {len(made):,} rows make {len(starts)} blocks of time as long as the horizon "
            f"({horizon}); {least} are needed"
        )
    numbers = np.empty(len(made), dtype=np.int64)
    numbers[order] = np.searchsorted(starts, np.arange(len(made)), side="right") - 1
    return numbers


def _starts(made: np.ndarray, longest: int, size: float) -> list[int]:
    """Find the first row of each block, at least `longest` long and of at least `size` rows."""
    starts = [0]
    while True:
        start = starts[-1]
        by_time = int(np.searchsorted(made, made[start] + longest))
        by_rows = min(start + max(round(size), 1), len(made))
        # Rows of one origin stay in one block.
        end = max(by_time, int(np.searchsorted(made, made[by_rows - 1], side="right")))
        if end >= len(made):
            break
        starts.append(end)
    step = made[starts[-1]] - made[starts[-1] - 1]
    is_short = made[-1] + step < made[starts[-1]] + longest or len(made) - starts[-1] < size / 2
    return starts[:-1] if is_short and len(starts) > 1 else starts
