"""Gather what an export is tried on, before a release trusts it."""

import re
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import numpy as np
import polars as pl

from rung_ops.release import source_import
from rung_ops.training import estimator

REFERENCE_ROWS = 10_000  # of training: what drift is measured against
PARITY_ROWS = 1_000  # held out: what the service checks itself on, each time it loads the release

MOST_ROWS = 50_000
ROWS_AN_EDGE = 3


def rows(
    model: Any,
    held_out: pl.DataFrame,
    train: pl.DataFrame,
    expressions: list[pl.Expr],
    columns: list[dict[str, Any]],
    seed: int,
) -> tuple[pl.DataFrame, list[str]]:
    """Gather features: of held-out rows, of training rows, and of rows at the contract's edges.

    Training rows count as well: a tree splits at their values, so it is there that rounding to 32
    bits takes the other branch.

    Args:
        model: the estimator.
        held_out: rows of Row without the target.
        train: rows that it learned from.
        expressions: FEATURES.
        columns: of contract.json.
        seed: of the choice where there are too many.

    Returns:
        The features, and the edges for which the model itself has no answer.
    """
    chosen = drawn(held_out, MOST_ROWS, seed)
    if chosen.height < MOST_ROWS:
        learned = drawn(train.select(chosen.columns), MOST_ROWS - chosen.height, seed)
        chosen = pl.concat([chosen, learned])
    answered, unanswered = _answered_edges(model, list(edges(held_out, columns)), expressions)
    return pl.concat([chosen.select(expressions), *answered]), unanswered


def _answered_edges(
    model: Any, cases: list[tuple[str, pl.DataFrame]], expressions: list[pl.Expr]
) -> tuple[list[pl.DataFrame], list[str]]:
    if not cases:
        return [], []
    together = _answered(model, pl.concat([some for _, some in cases]), expressions)
    if isinstance(together, pl.DataFrame):
        return [together], []
    answers = {case: _answered(model, some, expressions) for case, some in cases}
    return (
        [found for found in answers.values() if isinstance(found, pl.DataFrame)],
        [f"{case}: {found}" for case, found in answers.items() if isinstance(found, str)],
    )


def _answered(model: Any, some: pl.DataFrame, expressions: list[pl.Expr]) -> pl.DataFrame | str:
    """Give the features of rows that the model has an answer for, otherwise why it has none."""
    try:
        features = some.select(expressions)
        finite = np.isfinite(estimator.answer(model, features)).all()
    except source_import.FAULTS as error:
        return type(error).__name__
    return features if finite else "no number"


def edges(
    held_out: pl.DataFrame, columns: list[dict[str, Any]]
) -> Iterator[tuple[str, pl.DataFrame]]:
    """Make rows at the edges of the contract, of which the data may hold none.

    Yields:
        What is at the edge, and a few rows with it.
    """
    some = held_out.head(ROWS_AN_EDGE)
    for column in columns:
        name = column["name"]
        for value in _edges_of(column, held_out[name]):
            changed = pl.lit(value).cast(held_out.schema[name]).alias(name)
            case = "empty" if value is None else repr(value)
            yield f"`{name}` {case}", some.with_columns(changed)


def _edges_of(column: dict[str, Any], seen: pl.Series) -> Iterator[Any]:
    if not column["required"] and column["default"] is None:
        yield None
    written = [column[name] for name in ("default", "ge", "le") if column[name] is not None]
    yield from (_value(column, each) for each in [*written, *(column["isin"] or [])])
    if column["dtype"] == "bool":
        yield from (True, False)
    if column["dtype"] == "str" and not column["isin"]:
        yield from _unknown_text(column, seen)


def _unknown_text(column: dict[str, Any], seen: pl.Series) -> Iterator[str]:
    """Find a text that the data does not hold and the contract allows: letters moved on by one."""
    known = set(seen.unique().drop_nulls().to_list())
    for text in sorted(known):
        moved = re.sub("[A-Za-z0-9]", lambda found: _next(found[0]), text)
        if moved not in known and re.search(column["pattern"] or "", moved):
            yield moved
            return


def _next(character: str) -> str:
    around = {"Z": "A", "z": "a", "9": "0"}
    return around.get(character) or chr(ord(character) + 1)


def _value(column: dict[str, Any], written: Any) -> Any:
    if column["dtype"] == "datetime":
        return datetime.fromisoformat(written)
    return date.fromisoformat(written) if column["dtype"] == "date" else written


def drawn(rows: pl.DataFrame, most: int, seed: int) -> pl.DataFrame:
    """Draw rows at random, in their order; all where there are no more."""
    if rows.height <= most:
        return rows
    chosen = np.random.default_rng(seed).choice(rows.height, most, replace=False)
    return rows[np.sort(chosen)]
