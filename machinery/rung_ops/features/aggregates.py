"""Aggregates of a single column: what they give does not depend on the order of the events."""

from collections.abc import Callable

import polars as pl

OF_COLUMN: dict[str, Callable[[pl.Expr], pl.Expr]] = {
    "count": pl.Expr.count,
    "max": pl.Expr.max,
    "mean": pl.Expr.mean,
    "min": pl.Expr.min,
    "sum": pl.Expr.sum,
}


def of_column(aggregate: pl.Expr) -> tuple[str, str] | None:
    """Name an aggregate and its column; `len` has none. None for any other expression."""
    plain = aggregate.meta.undo_aliases()
    if plain.meta.eq(pl.len()):
        return "len", ""
    names = plain.meta.root_names()
    if len(names) != 1:
        return None
    column = pl.col(names[0])
    return next(((k, names[0]) for k, of in OF_COLUMN.items() if plain.meta.eq(of(column))), None)
