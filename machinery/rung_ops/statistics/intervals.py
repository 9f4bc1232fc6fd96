"""Intervals and bounds of shares and distributions, some of which hold at every look.

A test with a fixed number of rows, looked at every second, raises a false alarm sooner or later.
exceeds(), wilson_upper_bound() and ks_lower_bound() bound the probability of ever being wrong, however
often they are evaluated.
"""

import math
from typing import Any

import numpy as np

# How far above the limit the share may be, as a part of the way to 1: the bet is spread evenly.
BETS = np.array([0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 0.95])
FEW = 20  # values below which nothing is said about a distribution


def wilson_interval(events: int, total: int, deviations: float) -> tuple[float, float]:
    """Find Wilson's score interval of a share of independent trials, at least one (Wilson 1927).

    `deviations` is the number of standard errors on each side, such as 1.96 for 95 %.
    """
    share, squared = events / total, deviations * deviations
    middle = share + squared / (2 * total)
    half = deviations * math.sqrt(share * (1 - share) / total + squared / (4 * total * total))
    scale = 1 + squared / total
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def finite(value: Any) -> float | None:
    """Return a finite number; anything else counts as missing."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def exceeds(events: int, total: int, limit: float, false_alarm: float) -> bool:
    """Return whether the share of events among independent trials is above a limit.

    A mixture of likelihood ratios is a nonnegative supermartingale while the share is at most the
    limit, and so reaches 1 / false_alarm at any time with at most that chance (Ville 1939).
    """
    if events <= limit * total or not 0 < limit < 1:
        return limit <= 0 < events
    shares = limit + (1 - limit) * BETS
    logs = events * np.log(shares / limit) + (total - events) * np.log((1 - shares) / (1 - limit))
    return bool(np.logaddexp.reduce(logs) - math.log(len(BETS)) >= -math.log(false_alarm))


def wilson_upper_bound(events: int, total: int) -> float:
    """Bound a share from above: Wilson's limit at three standard errors, 1 if nothing is known.

    It is one side of a comparison whose other side is exceeds().
    """
    if not total:
        return 1.0
    return wilson_interval(events, total, 3)[1]


def ks_lower_bound(
    first: np.ndarray, second: np.ndarray, false_alarm: float
) -> tuple[float, float]:
    """Compare the distributions of two samples of independent values.

    Returns:
        The largest distance between the two cumulative distributions as seen, in [0, 1], and the
        least that it certainly is, but for a chance of `false_alarm`; 0 if a sample is too small to
        tell.
    """
    if min(len(first), len(second)) < FEW:
        return 0.0, 0.0
    values = np.concatenate([first, second])
    below = [
        np.searchsorted(np.sort(sample), values, side="right") / len(sample)
        for sample in (first, second)
    ]
    distance = float(np.abs(below[0] - below[1]).max())
    unsure = sum(_radius(len(sample), false_alarm / 2) for sample in (first, second))
    return distance, max(0.0, distance - unsure)


def _radius(values: int, false_alarm: float) -> float:
    """How far a sample's distribution may be from the true one, at any size of the sample.

    Howard and Ramdas, Sequential estimation of quantiles (Bernoulli 2022), Theorem 2.
    """
    growing = math.log(math.log(math.e * values)) + 0.8 * math.log(1612 / false_alarm)
    return 0.85 * math.sqrt(growing / values)
