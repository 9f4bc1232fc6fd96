"""Compare two samples of one feature: how far they lie apart, how certain that is, what to draw."""

from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from rung_ops.monitoring import contingency, kolmogorov, stability
from rung_ops.system.printable import four_digits

BARS = 16  # of the picture of a distribution of numbers
MAX_LEVELS = 12  # of the picture of a distribution of categories: the most frequent ones
MOVED = 3  # levels that are named


def numbers(reference: pl.Series, window: pl.Series) -> dict[str, Any]:
    """Compare two samples of numbers.

    Args:
        reference: floats without null and NaN, at least one.
        window: the same.

    Returns:
        change, p_value, psi, unseen, moments and bars, as drift.SCHEMA has them.
    """
    then, now = np.sort(reference.to_numpy()), np.sort(window.to_numpy())
    gap = kolmogorov.largest_gap(then, now)
    edges = stability.quantile_edges(then)
    inside = np.searchsorted(now, then[-1], side="right") - np.searchsorted(now, then[0])
    bars, shares = _drawn(then, now)
    return {
        "change": gap,
        "p_value": kolmogorov.p_value(gap, len(then), len(now)),
        "psi": stability.psi(stability.counts(then, edges), stability.counts(now, edges)),
        "unseen": 1 - inside / len(now),
        **_summary("reference_", then),
        **_summary("", now),
        "bars": bars,
        "reference_shares": shares[0],
        "shares": shares[1],
    }


def categories(reference: pl.Series, window: pl.Series) -> dict[str, Any]:
    """Compare two samples of texts; the same as numbers(), with what moved in place of moments."""
    then, now = (dict(zip(*_levels(column), strict=True)) for column in (reference, window))
    levels = sorted({*then, *now}, key=lambda level: (-then.get(level, 0), level))
    counted = [np.array([side.get(level, 0) for level in levels]) for side in (then, now)]
    pooled = contingency.pool_rare(*counted)[:2]
    shares = [counts / counts.sum() for counts in counted]
    gone = np.abs(pooled[0] / pooled[0].sum() - pooled[1] / pooled[1].sum()).sum() / 2
    most = np.argsort(-np.abs(shares[1] - shares[0]), kind="stable")[:MOVED]
    moved = [f"{levels[at]} {shares[0][at]:.1%} to {shares[1][at]:.1%}" for at in most]
    return {
        "change": float(gone),
        "p_value": contingency.p_value(*counted),
        "psi": stability.psi(*pooled),
        "unseen": float(shares[1][counted[0] == 0].sum()),
        "moved": "; ".join(moved),
        "bars": levels[:MAX_LEVELS],
        "reference_shares": shares[0][:MAX_LEVELS].tolist(),
        "shares": shares[1][:MAX_LEVELS].tolist(),
    }


def _summary(whose: str, values: np.ndarray) -> dict[str, float]:
    quantiles = {f"{whose}p{p}": float(values[len(values) * p // 100]) for p in (5, 50, 95)}
    return {f"{whose}mean": float(values.mean()), **quantiles}


def _drawn(then: np.ndarray, now: np.ndarray) -> tuple[list[str], list[list[float]]]:
    """Cut the range where nearly all values lie into bars; what is beyond joins the outer ones.

    A bar for each value where there are few.
    """
    values = np.union1d(_distinct(then), _distinct(now))
    if len(values) <= BARS:
        names, cuts = [*map(four_digits, values)], values[:-1]
    else:
        low = min(side[len(side) // 200] for side in (then, now))
        high = max(side[-1 - len(side) // 200] for side in (then, now))
        ends = np.linspace(low, high, BARS + 1)
        names = [f"{four_digits(left)} to {four_digits(right)}" for left, right in pairwise(ends)]
        cuts = ends[1:-1]
    counted = [stability.counts(side, cuts) / len(side) for side in (then, now)]
    return names, [shares.tolist() for shares in counted]


def _levels(column: pl.Series) -> tuple[list[str], list[int]]:
    counted = column.rename("level").value_counts(name="rows")
    return counted["level"].to_list(), counted["rows"].to_list()


def _distinct(values: np.ndarray) -> np.ndarray:
    """Take each of sorted values once, or as many as decide that there are too many to draw."""
    first = np.flatnonzero(values[1:] != values[:-1])[: BARS + 1] + 1
    return values[np.concatenate([[0], first])]
