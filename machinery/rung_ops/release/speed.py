"""Time the forms of one model against each other, and take one."""

import time
from collections.abc import Callable, Mapping

import numpy as np
import polars as pl

BATCH = 64
ROUNDS = 30
# LightGBM's own format asks for LightGBM in the service, so it has to be worth it.
CLEARLY = 0.9

Times = tuple[float, float]  # microseconds of one row and of 64 rows


def measure(
    predictors: Mapping[str, Callable[[pl.DataFrame], np.ndarray]], features: pl.DataFrame
) -> dict[str, Times]:
    """Time one row and a batch; the fastest of several runs counts.

    The forms take turns, so that a busy moment of the machine hits all of them.
    """
    batch = features.sample(BATCH, with_replacement=features.height < BATCH, seed=0)
    fastest = {name: [np.inf, np.inf] for name in predictors}
    for _ in range(ROUNDS):
        for name, predict in predictors.items():
            for place, rows in enumerate((batch[:1], batch)):
                start = time.perf_counter()
                predict(rows)
                passed = 1e6 * (time.perf_counter() - start)
                fastest[name][place] = min(fastest[name][place], passed)
    return {name: (round(one, 1), round(many, 1)) for name, (one, many) in fastest.items()}


def faster(measured: Mapping[str, Times]) -> str:
    """Take the first form, unless a later one is clearly faster over one row and a batch."""
    names = list(measured)
    taken = names[0]
    for name in names[1:]:
        ratio = np.sqrt(np.prod(np.array(measured[name]) / np.array(measured[taken])))
        if ratio < CLEARLY:
            taken = name
    return taken
