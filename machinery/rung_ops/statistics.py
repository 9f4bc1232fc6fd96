"""Statistics that several parts of the machinery use."""

import math


def wilson_interval(events: int, total: int, deviations: float) -> tuple[float, float]:
    """Find Wilson's score interval of a share (Wilson 1927).

    Args:
        events: how many of the total were events.
        total: independent trials, at least one.
        deviations: standard errors on each side, such as 1.96 for 95 %.

    Returns:
        The lower and the upper bound, in [0, 1].
    """
    share, squared = events / total, deviations * deviations
    middle = share + squared / (2 * total)
    half = deviations * math.sqrt(share * (1 - share) / total + squared / (4 * total * total))
    scale = 1 + squared / total
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)
