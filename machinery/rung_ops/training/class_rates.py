"""Compare groups where a row is answered with one of several classes: each against all others."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from rung_ops.statistics.intervals import wilson_interval
from rung_ops.system.printable import counted
from rung_ops.training.group_rates import (
    CLASSIFICATION,
    COUNTS,
    RATES,
    compare,
    few_rows,
    rate_name,
    rounded,
    spread,
)

DEVIATIONS = 1.96  # of the intervals: they hold the true rate 19 times in 20


def compare_classes(
    truth: np.ndarray,
    predicted: np.ndarray,
    group: np.ndarray,
    smallest: int,
    names: Sequence[str],
) -> tuple[dict[str, Any], list[str]]:
    """Compare the groups of one column where each row is answered with one of several classes.

    Args:
        truth: place of the class in `names`, shape (n_rows,).
        predicted: place of the class that is answered, shape (n_rows,).
        group: name of each row's group, shape (n_rows,).
        smallest: a rate of fewer rows is reported but left out of the differences.
        names: of the classes.

    Returns:
        The figures of each group by class, each class against all others, with the ends of their
        95 % intervals; the largest differences of each class; and notes on them.
    """
    values: dict[str, dict[str, Any]] = {}
    for code, name in enumerate(names):
        actual, chosen = truth == code, predicted == code
        of_class, _ = compare(
            actual.astype(int), chosen.astype(int), group, smallest, CLASSIFICATION
        )
        for each, figures in of_class["values"].items():
            rows = group == each
            ends = _intervals(figures, actual[rows], chosen[rows])
            values.setdefault(each, {})[name] = {key: figures[key] for key in COUNTS} | dict(ends)
    few = few_rows(values, smallest)
    notes = [
        f"{what}: {counted(rows, 'row')}, fewer than {smallest}: left out of the differences"
        for what, rows in few.items()
    ]
    differences: dict[str, dict[str, float | None]] = {}
    for name in names:
        differences[name] = {}
        for figure in RATES:
            rates = {
                each: of_group[name][figure]
                for each, of_group in values.items()
                if each not in few and rate_name(each, figure, name) not in few
            }
            defined = [rate for rate in rates.values() if rate is not None]
            differences[name][figure] = spread(defined)
            if len(defined) < 2:
                notes.append(f"{figure} of {name}: fewer than two groups can be compared")
    return {"values": values, "differences": differences}, notes


def _intervals(
    figures: Mapping[str, Any], actual: np.ndarray, chosen: np.ndarray
) -> Iterator[tuple[str, float | None]]:
    """Yield each rate and the ends of its interval, which is not known without rows."""
    of_rates = zip(RATES, (chosen, chosen[actual], chosen[~actual]), strict=True)
    for figure, events in of_rates:
        low = high = math.nan
        if len(events):
            low, high = wilson_interval(int(events.sum()), len(events), DEVIATIONS)
        yield figure, figures[figure]
        yield f"{figure}_low", rounded(low)
        yield f"{figure}_high", rounded(high)
