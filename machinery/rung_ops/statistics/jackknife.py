"""How far a figure of merit can be trusted, from leaving out a part of the rows at a time.

Errors of forecasts that are made one after another are alike, so there a part is a block of time.
"""

import math
import warnings
from collections.abc import Callable
from datetime import timedelta

import numpy as np
import polars as pl

from rung_ops.contract import forecast
from rung_ops.errors import OpsError
from rung_ops.model.entity_feature import ticks

GROUPS = 20  # by default

# Computes a figure of target values and predictions.
Figure = Callable[[np.ndarray, np.ndarray], float]


class NotComparableError(OpsError):
    """The rows are too few for a figure, or for its error; the message says which and why."""


def figure_or_nan(figure: Figure, truth: np.ndarray, predicted: np.ndarray) -> float:
    """Compute a figure; NaN if it is undefined, such as the AUC of a single class."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return float(figure(truth, predicted))
    except ValueError:
        return math.nan


def dealt(n_rows: int, seed: int, groups: int = GROUPS) -> np.ndarray:
    """Deal rows into groups at random; return the number of each row's group, shape (n_rows,)."""
    return np.random.default_rng(seed).permutation(n_rows) % groups


def standard_error(figure: Callable[[np.ndarray], float], group: np.ndarray) -> float:
    """Estimate the standard error of a figure by the delete-a-group jackknife.

    The figure is computed without each group of rows in turn: twenty evaluations instead of the
    bootstrap's five hundred (Shao and Tu 1995, The Jackknife and Bootstrap, 2.3; Kott 2001,
    J. Official Statistics 17(4)).

    Args:
        figure: takes the numbers of some rows; may raise ValueError or return NaN where it is not
            defined, as AUC of one class is not.
        group: the number of each row's group, from 0, shape (n_rows,): of dealt() where rows are
            independent. More groups make the estimate surer and cost one evaluation each.

    Returns:
        NaN where the figure is not defined without one of the groups, or there are too few rows.
    """
    return float(standard_errors(lambda rows: np.array([figure(rows)]), group)[0])


def standard_errors(figures: Callable[[np.ndarray], np.ndarray], group: np.ndarray) -> np.ndarray:
    """Estimate the errors of figures, shape (n_figures,), as standard_error() does of one.

    Returns:
        Shape (n_figures,), or (1,) with NaN where there are too few rows or one has no figure. 0 for a
        figure that is the same without each group, as a perfect one: see unseen_share().
    """
    rows, groups = np.arange(len(group)), int(group.max(initial=0)) + 1
    if groups < 2 or len(rows) < 2 * groups:
        return np.array([math.nan])
    try:
        without = np.array([figures(rows[group != left_out]) for left_out in range(groups)])
    except ValueError:
        return np.array([math.nan])
    without -= without[0].copy()  # so that rounding makes no spread of equal figures
    spread = ((without - without.mean(axis=0)) ** 2).sum(axis=0)
    return np.asarray(np.sqrt((groups - 1) / groups * spread))


def half_widths(
    figures: Callable[[np.ndarray], np.ndarray], group: np.ndarray, level: float
) -> np.ndarray:
    """Return how far the intervals of several figures, of a level, reach to either side."""
    groups = int(group.max(initial=0)) + 1
    return student_t_quantile(1 - level, groups) * standard_errors(figures, group)


def half_width(figure: Callable[[np.ndarray], float], group: np.ndarray, level: float) -> float:
    """Return how far the interval of one figure reaches, as half_widths() does of several."""
    return float(half_widths(lambda rows: np.array([figure(rows)]), group, level)[0])


def unseen_share(rows: int) -> float:
    """Bound the share of other rows that may have what none of `rows` rows has, such as an error.

    Where no row differs, resampling knows nothing of rows that would: an error of 0 is none, and no
    interval is given. What can be said is the rule of three, 3 / rows at 95 % (Hanley and
    Lippman-Hand 1983, JAMA 249(13), 1743-1745).
    """
    return min(1.0, 3 / rows)


def student_t_quantile(error: float, groups: int = GROUPS) -> float:
    """Tell how many standard errors to go to either side, to miss with a probability of `error`.

    The quantile of Student's t with one degree of freedom less than there are groups.
    """
    from scipy.special import stdtrit  # takes longer to import than a check without outcomes runs

    return float(stdtrit(groups - 1, 1 - error / 2))


def student_t_probability(value: float, groups: int = GROUPS) -> float:
    """Return the probability that Student's t, of such degrees, is below a value."""
    from scipy.special import stdtr

    return float(stdtr(groups - 1, value))


LEAST_BLOCKS = 10  # of fewer blocks the spread says little
# Student's t holds for so few equal blocks (Ibragimov and Müller 2010, JBES 28(4)), but sees large losses
# only. Here rows are pooled: blocks of very different sizes err more often (docs/benchmarks.md).
FEW_BLOCKS = 4
MOST_BLOCKS = 20  # shorter ones would be too alike; docs/gate.md has the rates of errors


def groups_in_time(
    rows: pl.DataFrame, seed: int, most: int, least: int = LEAST_BLOCKS
) -> np.ndarray:
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
    return time_blocks(made, ticks(longest), most, least)


def time_blocks(
    made: np.ndarray, longest: int, most: int = MOST_BLOCKS, least: int = LEAST_BLOCKS
) -> np.ndarray:
    """Put rows into blocks of time, as groups_in_time() does; needs no project.

    `made` is when each row is predicted, `longest` the longest horizon, both in microseconds.
    """
    order = np.argsort(made, kind="stable")
    starts = _starts(made[order], longest, len(made) / min(most, MOST_BLOCKS))
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
