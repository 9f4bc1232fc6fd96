"""Assign each row to a group: by the values of a column, or by ranges of its numbers."""

from itertools import pairwise

import numpy as np
import polars as pl

from rung_ops.errors import StageError

MAX_GROUPS = 20


class UnknownGroupError(StageError):
    """A column under [fairness.groups] does not give groups; the message says why."""


def groups(column: pl.Series, cuts: list[float]) -> np.ndarray:
    """Return the name of each row's group, shape (n_rows,).

    Args:
        column: the values, shape (n_rows,).
        cuts: upper ends of the ranges of a numeric column: [25] gives `up to 25` and `above 25`.

    Raises:
        UnknownGroupError: there are cuts for text, or more than MAX_GROUPS values without cuts.
    """
    if cuts and not column.dtype.is_numeric():
        raise UnknownGroupError(f"`{column.name}` is not numeric and cannot be cut: write []")
    if cuts:
        cuts = sorted(cuts)
        between = [f"above {low:g} up to {high:g}" for low, high in pairwise(cuts)]
        names = [f"up to {cuts[0]:g}", *between, f"above {cuts[-1]:g}"]
        ranges = np.searchsorted(cuts, column.fill_null(0).to_numpy())
        named = pl.Series(column.name, [names[index] for index in ranges])
        return named.set(column.is_null(), "missing").to_numpy()
    if column.n_unique() > MAX_GROUPS:
        raise UnknownGroupError(
            f"`{column.name}` has {column.n_unique()} values; expected at most {MAX_GROUPS}: list "
            "the numbers to cut it at, or derive a coarser column"
        )
    return column.cast(pl.String).fill_null("missing").to_numpy()
