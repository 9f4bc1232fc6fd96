"""Whether one model is worse than another, judged on the same rows: a paired test of any figure.

Both models are scored on the same rows, drawn anew with replacement many times. The draws tell
how much the difference of the two figures would vary with other rows: what makes a row hard is
hard for both and cancels out, so two versions of one model can be told apart far more sharply
than by their figures alone. The bound below is the difference, less as many standard errors as
the error rate asks for; a normal bound, since the far quantiles of few draws are themselves
chance, and were seen to promote twice as often as promised.

The normal bound with an estimated error lets pass somewhat more than `alpha` where few rows decide,
as with an AUC of 100 positives: so ops/gate.toml asks for 0.003, that a version one point worse may
pass in at most 0.5 % of tries of 2,000 rows. A figure that rests on very few rows (a loss without
bound, of predictions that are sure and wrong) has no such bound: no test of rows can give it one.
"""

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

Figure = Callable[[np.ndarray, np.ndarray], float]

DRAWS = 200  # the standard error is then known to 5 %
ENOUGH = 0.9  # share of the draws that must have a figure; one class only has no AUC


class NotComparable(Exception):
    """There is no figure to compare; the message says of what and why."""


@dataclass(frozen=True)
class Comparison:
    """Two sets of predictions for the same rows.

    Attributes:
        ours: figure of the first; greater is better.
        theirs: figure of the second.
        gain: ours less theirs.
        error: standard error of the gain.
        deviations: how many standard errors the bounds lie from the gain.
    """

    ours: float
    theirs: float
    gain: float
    error: float
    deviations: float

    @property
    def low(self) -> float:
        """The bound that the true gain lies below in a share of alpha of all cases."""
        return self.gain - self.deviations * self.error

    @property
    def high(self) -> float:
        """The bound that the true gain lies above in a share of alpha of all cases."""
        return self.gain + self.deviations * self.error

    def not_worse(self, margin: float) -> bool:
        """Tell whether ours is shown not to be worse than theirs by margin or more."""
        return self.low > -margin


def compare(
    truth: np.ndarray,
    ours: np.ndarray,
    others: Mapping[str, np.ndarray],
    figure: Figure,
    alpha: float,
    seed: int,
) -> dict[str, Comparison]:
    """Compare predictions with others of the same rows.

    Args:
        truth: what really happened, shape (n_rows,).
        ours: predictions, shape (n_rows,).
        others: predictions by name, each of shape (n_rows,).
        figure: takes truth and predictions of the rows drawn; greater is better.
        alpha: error rate of each of the two bounds, in (0, 0.5).
        seed: of the draws.

    Returns:
        One comparison for each of the others.

    Raises:
        NotComparable: a figure of all rows, or of more than a tenth of the draws, is undefined.
    """
    mine = _of_all(figure, truth, ours, "challenger")
    figures = {name: _of_all(figure, truth, other, name) for name, other in others.items()}
    draws = np.random.default_rng(seed)
    gains = np.empty((DRAWS, len(others)))
    for draw in range(DRAWS):
        rows = draws.integers(0, len(truth), len(truth))
        drawn = defined(figure, truth[rows], ours[rows])
        gains[draw] = [
            drawn - defined(figure, truth[rows], other[rows]) for other in others.values()
        ]
    gains = gains[np.isfinite(gains).all(axis=1)]
    if len(gains) < ENOUGH * DRAWS:
        raise NotComparable(
            f"{DRAWS - len(gains)} of {DRAWS} draws of {len(truth):,} rows have no figure: "
            "too few rows of one kind"
        )
    errors = gains.std(axis=0, ddof=1)
    deviations = NormalDist().inv_cdf(1 - alpha)
    return {
        name: Comparison(mine, theirs, mine - theirs, float(error), deviations)
        for (name, theirs), error in zip(figures.items(), errors, strict=True)
    }


def defined(figure: Figure, truth: np.ndarray, predicted: np.ndarray) -> float:
    """Compute a figure; NaN where it is not defined, as AUC of one class."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return float(figure(truth, predicted))
    except ValueError:
        return math.nan


def _of_all(figure: Figure, truth: np.ndarray, predicted: np.ndarray, name: str) -> float:
    found = defined(figure, truth, predicted)
    if not math.isfinite(found):
        raise NotComparable(f"the figure of the {name} on all {len(truth):,} rows is {found}")
    return found
