"""The types of columns as text and back, for files that are read where no schema is."""

import re

import polars as pl

# Types without parameters, by the text that polars gives them.
PLAIN: dict[str, pl.DataType] = {
    str(kind()): kind()
    for kind in (
        *(pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64),
        *(pl.Float32, pl.Float64, pl.Boolean, pl.String, pl.Date),
    )
}
DATETIME = re.compile(r"Datetime\(time_unit='(ns|us|ms)', time_zone=(?:None|'([^']+)')\)")


class UnknownType(Exception):
    """A column's type has no form in JSON that a release could promise."""


def text_of(dtype: pl.DataType) -> str:
    """Write a type as text.

    Raises:
        UnknownType: nothing but numbers, texts, truth values, dates and moments can be asked for.
    """
    if str(dtype) in PLAIN or DATETIME.fullmatch(str(dtype)):
        return str(dtype)
    raise UnknownType(f"{dtype} cannot be asked for over the network")


def dtype_of(text: str) -> pl.DataType:
    """Read a type that text_of() wrote.

    Raises:
        UnknownType: it did not write this.
    """
    if text in PLAIN:
        return PLAIN[text]
    moment = DATETIME.fullmatch(text)
    if moment is None:
        raise UnknownType(f"{text!r} is no type of a column")
    return pl.Datetime(moment[1], moment[2])  # type: ignore[arg-type]


def family_of(dtype: pl.DataType) -> str:
    """Name what a value is in JSON: bool, int, float, str, date or datetime.

    Raises:
        UnknownType: as text_of().
    """
    text_of(dtype)
    if dtype.is_integer():
        return "int"
    if dtype.is_float():
        return "float"
    if dtype.is_temporal():
        return "date" if dtype == pl.Date else "datetime"
    return "bool" if dtype == pl.Boolean else "str"
