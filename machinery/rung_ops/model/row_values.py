"""Rows as Python values, of which a frame is made later: for one row, a frame costs more than the rest."""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import polars as pl

Values = tuple[Any, ...]  # of a row, in the order of the columns


class Layout(NamedTuple):
    """What makes frames of values; the same object for all rows of one kind.

    Attributes:
        frame: makes one of the values of each column.
        text: the schema of the frames, as text.
    """

    frame: Callable[[Sequence[Sequence[Any]]], pl.DataFrame]
    text: str


class RowValues(NamedTuple):
    """Some rows, at least one.

    Attributes:
        rows: their values, n_rows times n_columns.
        layout: what makes a frame of them.
    """

    rows: Sequence[Values]
    layout: Layout

    @property
    def height(self) -> int:
        """Number of rows."""
        return len(self.rows)


Rows = pl.DataFrame | RowValues


def layout_of(schema: dict[str, pl.DataType]) -> Layout:
    """Return what makes frames of a schema."""
    kinds = list(schema.items())

    def frame(columns: Sequence[Sequence[Any]]) -> pl.DataFrame:
        named = zip(kinds, columns, strict=True)
        return pl.DataFrame([pl.Series(name, list(v), dtype) for (name, dtype), v in named])

    return Layout(frame, schema_text(pl.Schema(schema)))


def schema_text(rows: Rows | pl.Schema) -> str:
    """Write the schema of rows; equal texts mean that their frames can be put together."""
    if isinstance(rows, RowValues):
        return rows.layout.text
    return f"{rows.schema if isinstance(rows, pl.DataFrame) else rows}"


def frame_of(parts: Sequence[Rows]) -> pl.DataFrame:
    """Put rows of one schema together."""
    frames: list[pl.DataFrame] = []
    for layout, same in groupby(parts, lambda part: getattr(part, "layout", None)):
        if layout is None:
            frames += (part for part in same if isinstance(part, pl.DataFrame))
        else:
            rows = [row for part in same if isinstance(part, RowValues) for row in part.rows]
            frames.append(layout.frame(list(zip(*rows, strict=True))))
    return pl.concat(frames)
