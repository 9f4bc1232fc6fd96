"""The rows that a training of the autopilot is judged on, and the window that it learns from."""


def judging_rows(rows: int, newer: int, changed: int | None, least: int, share: float) -> int:
    """Return how many of the newest rows judge a version.

    Half of those that what serves has not learned from: the other half teaches the version what is new.
    Where a change was seen, half of the rows in which it was seen: older ones are of the world before,
    and of no use to judge a version for the world after.

    Args:
        rows: all rows with a known outcome.
        newer: those that what serves has not learned from.
        changed: rows of the monitor's window, where it saw a change; None without one.
        least: with which the gate judges at all.
        share: of all rows, the most.
    """
    new = newer if changed is None else min(newer, changed)
    return min(max(new // 2, least), round(rows * share))
