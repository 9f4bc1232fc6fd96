"""Name the group that each row belongs to: by words, or by where numbers are cut."""

from itertools import pairwise

import numpy as np
import polars as pl

from rung_ops.project.errors import StageError

MAX_GROUPS = 20


class UnknownGroupError(StageError):
    """A column under [fairness.groups] cannot be made into groups; the message says why."""


def groups(column: pl.Series, cuts: list[float]) -> np.ndarray:
    """Name the group of every row; shape (n_rows,).

    Args:
        column: the values.
        cuts: where a column of numbers is cut: [25] makes `up to 25` and `above 25`.

    Raises:
        UnknownGroupError: numbers without cuts make too many groups, or words cannot be cut.
    """
    if cuts and not column.dtype.is_numeric():
        raise UnknownGroupError(f"`{column.name}` holds no numbers and cannot be cut: write []")
    if cuts:
        cuts = sorted(cuts)
        between = [f"above {low:g} up to {high:g}" for low, high in pairwise(cuts)]
        names = [f"up to {cuts[0]:g}", *between, f"above {cuts[-1]:g}"]
        place = np.searchsorted(cuts, column.fill_null(0).to_numpy())
        named = pl.Series(column.name, [names[at] for at in place])
        return named.set(column.is_null(), "missing").to_numpy()
    if column.n_unique() > MAX_GROUPS:
        many = f"`{column.name}` has {column.n_unique()} values"
        raise UnknownGroupError(
            f"{many}: name the numbers to cut it at, or derive a coarser column"
        )
    return column.cast(pl.String).fill_null("missing").to_numpy()
