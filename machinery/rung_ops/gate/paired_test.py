"""A paired test of whether one model is worse than another, for any figure.

Both models are scored on the same parts of the test rows (see statistics.jackknife), which estimate how
the difference of their figures varies with the rows. Hard rows are hard for both models and cancel
out, so the test separates two versions far better than their figures alone. The lower bound is the
difference minus as many standard errors as `alpha` requires by Student's t.

With few decisive rows, such as an AUC over 100 positives, the bound passes somewhat more than
`alpha`. So the default in ops/gate.toml is 0.003: a version one point worse then passes in at most
0.5 % of trials with 2,000 rows. For a figure that depends on very few rows (an unbounded loss of
confident wrong predictions), no test can give such a bound.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from rung_ops.statistics import jackknife
from rung_ops.statistics.jackknife import Figure, NotComparableError, figure_or_nan

GROUPS = 50  # more would cost more; so few ask for 9 % more rows than a known error would
POWER = 0.8  # of passing, with the rows that are needed


@dataclass(frozen=True)
class Comparison:
    """Two sets of predictions for the same rows, by figures of which greater is better."""

    challenger: float
    other: float
    gain: float  # challenger minus other
    error: float  # standard error of the gain
    deviations: float  # distance of the bounds from the gain, in standard errors
    rows: int
    groups: int  # that the error was estimated from

    @property
    def low(self) -> float:
        """Lower bound of the gain: the true gain is lower with probability alpha."""
        return self.gain - self.deviations * self.error

    @property
    def high(self) -> float:
        """Upper bound of the gain: the true gain is higher with probability alpha."""
        return self.gain + self.deviations * self.error

    @property
    def probability_better(self) -> float:
        """Probability that the challenger is better, in [0, 1]: one minus the p-value."""
        if not self.error:
            return 0.5 + math.copysign(0.5, self.gain) if self.gain else 0.5
        return jackknife.student_t_probability(self.gain / self.error, self.groups)

    def ways(self, margin: float, probability: float | None) -> list[tuple[float, float]]:
        """Return the ways to pass: a margin, and how many errors the gain has to be above minus it.

        `probability` of being better is enough as well, unless it is None.
        """
        ways = [(margin, self.deviations)]
        if probability is not None:
            deviations = jackknife.student_t_quantile(2 * (1 - probability), self.groups)
            ways.append((0.0, deviations))
        return ways

    def passes(self, ways: list[tuple[float, float]]) -> bool:
        """Return whether one of the ways is open."""
        return any(self.gain - deviations * self.error > -margin for margin, deviations in ways)

    def chance(self, ways: list[tuple[float, float]], gain: float) -> float:
        """Return the share of tests like this one in which a version of a known gain passes."""
        away = gain + max(margin - deviations * self.error for margin, deviations in ways)
        return NormalDist().cdf(away / self.error) if self.error else float(away > 0)

    def rows_needed(self, ways: list[tuple[float, float]], gain: float) -> int | None:
        """Return with how many rows a version of a known gain passes in POWER of the tests.

        None if no number of rows is enough.
        """
        power = NormalDist().inv_cdf(POWER)
        needed = [
            self.rows * ((deviations + power) * self.error / (gain + margin)) ** 2
            for margin, deviations in ways
            if gain + margin > 0
        ]
        return math.ceil(min(needed)) if needed else None


def compare(
    truth: np.ndarray,
    challenger: np.ndarray,
    others: Mapping[str, np.ndarray],
    figure: Figure,
    alpha: float,
    group: np.ndarray,
) -> dict[str, Comparison]:
    """Compare the challenger's predictions with others of the same rows and shape, by name.

    Args:
        truth: target values, shape (n_rows,).
        challenger: predictions, shape (n_rows,) or (n_rows, n_classes).
        others: predictions by name.
        figure: computes a figure of target values and predictions; greater is better.
        alpha: error rate of each of the two bounds, in (0, 0.5).
        group: the number of each row's part, from 0, shape (n_rows,): see jackknife.groups_in_time().

    Raises:
        NotComparableError: the figure is undefined on all rows, or on a part of them.
    """
    own = _of_all(figure, truth, challenger, "challenger")
    figures = {name: _of_all(figure, truth, other, name) for name, other in others.items()}

    def gains(rows: np.ndarray) -> np.ndarray:
        mine = figure_or_nan(figure, truth[rows], challenger[rows])
        return mine - np.array(
            [figure_or_nan(figure, truth[rows], it[rows]) for it in others.values()]
        )

    errors = jackknife.standard_errors(gains, group)
    half = group % 2 == 0
    # Two rows of a class are enough for a figure without either, and for no judgement.
    if not np.isfinite([*errors, *gains(half), *gains(~half)]).all():
        raise NotComparableError(
            f"a part of the {len(truth):,} rows has no figure: too few rows of one class"
        )
    groups = int(group.max()) + 1
    deviations = jackknife.student_t_quantile(2 * alpha, groups)
    return {
        name: Comparison(own, other, own - other, float(error), deviations, len(truth), groups)
        for (name, other), error in zip(figures.items(), errors, strict=True)
    }


def _of_all(figure: Figure, truth: np.ndarray, predicted: np.ndarray, name: str) -> float:
    value = figure_or_nan(figure, truth, predicted)
    if not math.isfinite(value):
        raise NotComparableError(f"the figure of the {name} on all {len(truth):,} rows is {value}")
    return value
