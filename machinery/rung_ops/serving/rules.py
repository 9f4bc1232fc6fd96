"""The rules of a contract for whole columns, as value_types.py has them for single values."""

from collections.abc import Callable
from typing import Any

import polars as pl

from rung_ops.model.columns import SECOND, Column, ticks, time_zone
from rung_ops.model.rows import Refusal, wrong_column, wrong_value

Rule = Callable[[pl.Series], pl.Series]

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
        self._rules = list(_rules(column))

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
            row = (~rule(values)).arg_true()
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


def _rules(column: Column) -> Any:
    for name, limit in column.bounds.items():
        yield _compared(name, *_comparable(column, limit))
    if column.isin is not None:
        allowed = [_comparable(column, value)[1] for value in column.isin]
        of = _comparable(column, None)[0]
        yield lambda values: of(values).is_in(allowed)
    if column.pattern is not None:
        yield lambda values: values.str.contains(column.pattern)
    least, most = column.lengths
    if least is not None:
        yield lambda values: values.str.len_chars() >= least
    if most is not None:
        yield lambda values: values.str.len_chars() <= most


def _comparable(column: Column, limit: Any) -> tuple[Rule, Any]:
    """Convert a column and a value so that they can be compared: times become ticks."""
    if isinstance(column.dtype, pl.Datetime):
        second = SECOND[column.dtype.time_unit]
        value = None if limit is None else ticks(limit, second)
        return lambda values: values.cast(pl.Int64), value
    return lambda values: values, limit


def _compared(name: str, of: Rule, limit: Any) -> Rule:
    return {
        "ge": lambda values: of(values) >= limit,
        "gt": lambda values: of(values) > limit,
        "le": lambda values: of(values) <= limit,
        "lt": lambda values: of(values) < limit,
    }[name]
