"""Statistics that several parts of the machinery use."""

import math
from typing import Any


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
