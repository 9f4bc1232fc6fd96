"""Convert column types to text and back, for JSON files."""

import re

import polars as pl

# Types without parameters, by their text in polars.
PLAIN: dict[str, pl.DataType] = {
    str(kind()): kind()
    for kind in (
        *(pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64),
        *(pl.Float32, pl.Float64, pl.Boolean, pl.String, pl.Date),
    )
}
DATETIME = re.compile(r"Datetime\(time_unit='(ns|us|ms)', time_zone=(?:None|'([^']+)')\)")


class UnknownType(Exception):
    """A column has a type that JSON cannot represent."""


def text_of(dtype: pl.DataType) -> str:
    """Convert a type to text.

    Raises:
        UnknownType: it is not a number, text, boolean, date or datetime.
    """
    if str(dtype) in PLAIN or DATETIME.fullmatch(str(dtype)):
        return str(dtype)
    raise UnknownType(f"{dtype} cannot be part of a request")


def dtype_of(text: str) -> pl.DataType:
    """Convert the text of text_of() to a type.

    Raises:
        UnknownType: the text names no type.
    """
    if text in PLAIN:
        return PLAIN[text]
    match = DATETIME.fullmatch(text)
    if match is None:
        raise UnknownType(f"{text!r} is not a column type")
    return pl.Datetime(match[1], match[2])  # type: ignore[arg-type]


def family_of(dtype: pl.DataType) -> str:
    """Return the family of a type in JSON: bool, int, float, str, date or datetime.

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


def time_zone(dtype: pl.DataType) -> str | None:
    """Return the time zone of a type; None if it has none or is not a datetime."""
    return dtype.time_zone if isinstance(dtype, pl.Datetime) else None
