"""Measure how fast the formats of a model predict, and select one."""

import time
from collections.abc import Callable, Mapping

import numpy as np
import polars as pl

BATCH = 64
ROUNDS = 30
# A later format must take less than this share of the time: LightGBM's own format adds LightGBM to
# the image of the service.
MAX_RATIO = 0.9

Times = tuple[float, float]  # microseconds for one row and for 64 rows


def measure(
    predictors: Mapping[str, Callable[[pl.DataFrame], np.ndarray]], features: pl.DataFrame
) -> dict[str, Times]:
    """Measure the time for one row and for a batch, the fastest of several runs.

    The formats take turns, so that other load on the machine affects all of them.

    Returns:
        Times by format.
    """
    batch = features.sample(BATCH, with_replacement=features.height < BATCH, seed=0)
    fastest = {name: [np.inf, np.inf] for name in predictors}
    for _ in range(ROUNDS):
        for name, predict in predictors.items():
            for index, rows in enumerate((batch[:1], batch)):
                start = time.perf_counter()
                predict(rows)
                elapsed = 1e6 * (time.perf_counter() - start)
                fastest[name][index] = min(fastest[name][index], elapsed)
    return {name: (round(one, 1), round(many, 1)) for name, (one, many) in fastest.items()}


def select(measured: Mapping[str, Times]) -> str:
    """Return the first format, unless a later one is clearly faster for one row and a batch."""
    names = list(measured)
    selected = names[0]
    for name in names[1:]:
        ratio = np.sqrt(np.prod(np.array(measured[name]) / np.array(measured[selected])))
        if ratio < MAX_RATIO:
            selected = name
    return selected
