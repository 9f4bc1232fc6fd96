"""The columns of a table that a request sends, converted without loss and held against the contract."""

from collections.abc import Callable

import polars as pl

from rung_ops.model.columns import Column, time_zone
from rung_ops.model.rows import Refusal, wrong_column, wrong_value
from rung_ops.model.rules import rules_of

# Bytes: a dictionary or a view repeats a long text as often as it likes, in a small body.
MAX_TEXT = 64_000_000
TEXTS = (pl.String, pl.Categorical, pl.Enum)
FITS: dict[str, Callable[[pl.DataType], bool]] = {
    "bool": lambda kind: kind == pl.Boolean,
    "int": lambda kind: kind.is_integer() or kind.is_float(),
    "float": lambda kind: kind.is_integer() or kind.is_float(),
    "str": lambda kind: isinstance(kind, TEXTS),
    "date": lambda kind: kind == pl.Date,
    "datetime": lambda kind: isinstance(kind, pl.Datetime),
}


class ColumnRules:
    """Checks one column of a table."""

    def __init__(self, column: Column) -> None:
        """Make the checks."""
        self.column = column
        self._rules = rules_of(column)

    def held(self, values: pl.Series) -> pl.Series:
        """Give values in the type of the contract, where they keep its rules; null is empty.

        Raises:
            Refusal: they do not; the first row that breaks a rule is named.
        """
        column = self.column
        if values.dtype == pl.Null:
            return values.cast(column.dtype)
        if not FITS[column.family](values.dtype):
            raise wrong_column(None, column.name, f"got {values.dtype}; expected {column.words}")
        if column.without_offset and time_zone(values.dtype):
            raise wrong_column(None, column.name, f"got {values.dtype}; expected {column.words}")
        if column.family == "str" and _written_out(values) > MAX_TEXT:
            raise Refusal(
                413, f"column `{column.name}`: its texts are more than {MAX_TEXT:,} bytes together"
            )
        values = _exact(values, column)
        for rule in self._rules:
            # Empty values break no rule: what compares as null is left out.
            row = (~rule.kept(values)).arg_true()
            if len(row):
                raise wrong_value(row[0] + 1, column.name, values[row[0]], column.words)
        return values.cast(column.dtype)


def _written_out(values: pl.Series) -> int:
    """Count the bytes of all texts, without writing them out."""
    of = values.str if values.dtype == pl.String else values.cat
    return int(of.len_bytes().sum())


def _exact(values: pl.Series, column: Column) -> pl.Series:
    """Give values in the type of the column, or numbers as Float64; refuse what would change."""
    if column.family == "float":
        values = values.cast(pl.Float64).fill_nan(None)
        lost = values.cast(column.dtype).is_infinite()
        converted = values
    elif column.family == "int":
        values = values.fill_nan(None) if values.dtype.is_float() else values
        converted = values.cast(column.dtype, strict=False)
        lost = (converted.is_null() | (converted != values)) & values.is_not_null()
    elif isinstance(values.dtype, pl.Datetime) and isinstance(column.dtype, pl.Datetime):
        # Without an offset it is taken as UTC.
        naive = values.cast(pl.Datetime(values.dtype.time_unit))
        converted = naive.cast(pl.Datetime(column.dtype.time_unit), strict=False)
        lost = converted.is_null() & values.is_not_null()
        converted = converted.cast(pl.Int64).cast(column.dtype)
    else:
        return values.cast(column.dtype)
    if lost.any():
        row = lost.arg_true()[0]
        raise wrong_value(row + 1, column.name, values[row], column.words)
    return converted
