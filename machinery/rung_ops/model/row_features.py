"""Compute the features of few rows one by one, where that gives the same bits as polars.

A select costs some ten microseconds for each expression, for one row as for a thousand; the same
arithmetic in Python takes one.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import polars as pl

from rung_ops.model.row_code import RowCode, UntranslatedError, family
from rung_ops.model.row_functions import function
from rung_ops.model.row_operators import binary, cast, column, literal, ternary
from rung_ops.model.row_values import Layout, RowValues, Values, layout_of
from rung_ops.model.source_import import FAULTS
from rung_ops.model.value_types import INTEGERS

NODES = {
    "BinaryExpr": binary,
    "Cast": cast,
    "Column": column,
    "Function": function,
    "Literal": literal,
    "Ternary": ternary,
}
MAX_ROWS = 128  # with twenty features, polars takes less time from some 400 on
MAX_UNSURE = 0.5  # share of the rows that may be left to polars; with more, trying does not pay
EDGE_ROWS = 3  # rows that get each value of edges()
TEXTS = ("", " ", "a", "Ä", "ß", "\u0130", "zz" * 50)
TIMES = (
    *(datetime(2023, 12, 31, 23, 59, 59, 999_999), datetime(2024, 1, 1), datetime(2024, 2, 29, 12)),
    *(datetime(2024, 12, 31), datetime(2021, 1, 3, 0, 0, 1), datetime(1969, 7, 20, 20, 17, 40)),
)


class RowFeatures(NamedTuple):
    """The features of a release, as a function of one row.

    Attributes:
        compute: takes the values of a row and returns those of its features; raises an error for a
            row that is polars' to compute.
        schema: names and types of the features.
        layout: makes frames of them.
    """

    compute: Callable[..., Values]
    schema: dict[str, pl.DataType]
    layout: Layout

    def of(self, rows: RowValues) -> RowValues | None:
        """Compute the features of rows; None where polars has to."""
        compute = self.compute
        try:
            return RowValues([compute(*row) for row in rows.rows], self.layout)
        except Exception:  # whatever it is, polars computes them
            return None


def row_features(
    expressions: Sequence[pl.Expr],
    schema: Mapping[str, pl.DataType],
    nullable: Sequence[str],
    rows: pl.DataFrame,
) -> RowFeatures:
    """Translate expressions, and compare with polars on rows and on values at the edges of types.

    Args:
        expressions: FEATURES.
        schema: names and types of the columns of a row, in the order of the values.
        nullable: names of those that may be null.
        rows: some, with these columns, shape (n_rows, n_columns).

    Raises:
        UntranslatedError: they cannot be computed so; the message says why.
    """
    compute = RowCode(schema, nullable, NODES).function(expressions)
    required = [name for name in schema if name not in nullable]
    rows = rows.select(list(schema)).drop_nulls(required)
    some = rows.head(EDGE_ROWS)
    try:
        features = dict(some.select(expressions).schema)
    except FAULTS:  # its message may name values of a person
        raise UntranslatedError("polars fails on rows of the data") from None
    made = RowFeatures(compute, features, layout_of(features))
    _unsure(made, pl.concat([some, *edges(some, nullable)]), expressions, some)
    unsure = _unsure(made, rows, expressions, some)
    if unsure > MAX_UNSURE * rows.height:
        raise UntranslatedError(f"{unsure:,} rows of {rows.height:,} are polars' to compute")
    return made


def of_contract(
    expressions: Sequence[pl.Expr],
    contract: Mapping[str, Any],
    schema: Mapping[str, pl.DataType],
    rows: pl.DataFrame,
) -> RowFeatures:
    """Do so for FEATURES of a release; see row_features()."""
    columns = contract["columns"]
    nullable = [c["name"] for c in columns if not c["required"] and c["default"] is None]
    return row_features(expressions, schema, nullable, rows)


def edges(rows: pl.DataFrame, nullable: Sequence[str]) -> Iterator[pl.DataFrame]:
    """Give rows in which each column has, in turn, what data seldom has."""
    for name, dtype in rows.schema.items():
        for value in [*_edges_of(dtype), *([None] if name in nullable else [])]:
            yield rows.with_columns(pl.lit(value, dtype).alias(name))


def _edges_of(dtype: pl.DataType) -> Iterator[Any]:
    kind = family(dtype)
    if kind == "int":
        least, most = INTEGERS[str(dtype)]
        yield from {least, least + 1, max(-1, least), 0, 1, most - 1, most}
    elif kind == "float":
        yield from (0.0, -0.0, 1.0, -1.0, 0.1, -2.5, 1e-300, 1e300, -1e300, 2.0**53 + 1)
    elif kind == "bool":
        yield from (True, False)
    elif kind == "str":
        yield from TEXTS
    elif kind == "date":
        yield from (date(time.year, time.month, time.day) for time in TIMES)
    elif isinstance(dtype, pl.Datetime):
        zone = UTC if dtype.time_zone else None
        yield from (time.replace(tzinfo=zone) for time in TIMES)


def _unsure(
    made: RowFeatures, rows: pl.DataFrame, expressions: Sequence[pl.Expr], beside: pl.DataFrame
) -> int:
    """Compare with polars; return how many rows are left to it.

    Args:
        made: the features.
        rows: to compare on.
        expressions: FEATURES.
        beside: rows that polars computes together with them, in one piece: it divides a single row,
            and a piece with one value, in another way than many, such as those of training.

    Raises:
        UntranslatedError: a value differs.
    """
    expected: list[Values | None]
    try:
        several = pl.concat([beside, rows], rechunk=True)
        expected = list(several.select(expressions).tail(rows.height).rows())
    except FAULTS:
        if rows.height > 1:
            half = rows.height // 2
            return sum(_unsure(made, p, expressions, beside) for p in (rows[:half], rows[half:]))
        expected = [None]
    unsure = 0
    for row, wanted in zip(rows.rows(), expected, strict=True):
        try:
            computed = made.compute(*row)
        except Exception:  # the service does the same
            unsure += 1
            continue
        if wanted is None:
            raise UntranslatedError("polars fails on a row, and Python does not")
        for name, one, other in zip(made.schema, computed, wanted, strict=True):
            if not _same(one, other):  # the values may be a person's, and the reason is published
                raise UntranslatedError(f"`{name}` differs from what polars computes")
    return unsure


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        if math.isnan(one):
            return math.isnan(other)
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    return type(one) is type(other) and one == other
