"""The rows that a training of the autopilot is judged on, and the window that it learns from."""


def judging_rows(rows: int, newer: int, needed: int | None, least: int, share: float) -> int:
    """Return how many of the newest rows judge a version.

    Half of those that are newer than what serves: the other half teaches the version what changed. No
    more than a decision needs, and no more than a fixed share of all rows.

    Args:
        rows: all rows with a known outcome.
        newer: those that what serves has not learned from.
        needed: rows of which the gate can decide, as it said of the last version; None if unknown.
        least: with which the gate judges at all.
        share: of all rows, the most.
    """
    enough = newer // 2 if needed is None else min(newer // 2, needed)
    return min(max(enough, least), round(rows * share))
