"""The columns of a release's contract: their types, their rules, and series of their values."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
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


def text_of(dtype: pl.DataType) -> str:
    """Convert a type to text.

    Raises:
        ValueError: it is not a number, text, boolean, date or datetime.
    """
    if str(dtype) in PLAIN or DATETIME.fullmatch(str(dtype)):
        return str(dtype)
    raise ValueError(f"{dtype} cannot be part of a request")


def dtype_of(text: str) -> pl.DataType:
    """Convert the text of text_of() to a type; ValueError if it names none."""
    if text in PLAIN:
        return PLAIN[text]
    match = DATETIME.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a column type")
    return pl.Datetime(match[1], match[2])  # type: ignore[arg-type]


def family_of(dtype: pl.DataType) -> str:
    """Return the family of a type in JSON: bool, int, float, str, date or datetime."""
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


PYTHON: dict[str, type] = {
    "bool": bool,
    "int": int,
    "float": float,
    "str": str,
    "date": date,
    "datetime": datetime,
}
KINDS = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "date": "a date such as 2026-01-31",
    "datetime": "a time such as 2026-01-31T08:00:00Z",
}
WITHOUT_OFFSET = "a time without an offset, such as 2026-01-31T08:00:00"
# The rules that a contract may have for a column, and how they are put into words.
RULES = {
    "isin": "one of {}",
    "ge": "at least {}",
    "gt": "more than {}",
    "le": "at most {}",
    "lt": "less than {}",
    "min_length": "at least {} characters",
    "max_length": "at most {} characters",
    "pattern": "matching {}",
}
BOUNDS = ("ge", "gt", "le", "lt")
SHOWN = 20  # values of `isin` in a description
# What fits into a column: JSON has no limits, and a frame would raise for the whole batch.
INTEGERS: dict[str, tuple[int, int]] = {
    **{f"Int{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"UInt{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64)},
}
SECOND = {"ns": 1_000_000_000, "us": 1_000_000, "ms": 1_000}  # ticks per second

_EPOCH = datetime(1970, 1, 1)
_EPOCH_UTC = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Column:
    """A column of the contract."""

    name: str  # key in a request
    family: str  # bool, int, float, str, date or datetime
    dtype: pl.DataType  # in the frame
    required: bool  # whether it must be present and not null
    default: Any  # value if it is missing; None for null
    rules: dict[str, Any]  # the limit of each rule, by its name in RULES; of the family's type
    unit: str | None
    description: str | None

    @property
    def without_offset(self) -> bool:
        """Whether it holds times that have no time zone; one with an offset would be moved to UTC."""
        return isinstance(self.dtype, pl.Datetime) and self.dtype.time_zone is None

    @property
    def words(self) -> str:
        """The expected value as text: "a whole number, at least 1, at most 9999"."""
        kind = WITHOUT_OFFSET if self.without_offset else KINDS[self.family]
        rules = [rule_words(name, limit) for name, limit in self.rules.items()]
        if "isin" not in self.rules:
            rules.insert(0, kind)
        return ", ".join(rules)


def columns_of(contract: dict[str, Any]) -> list[Column]:
    """Read the columns of a contract, without the target.

    Raises:
        KeyError, TypeError, ValueError: the contract is invalid.
    """
    return [_column(entry) for entry in contract["columns"]]


def _column(entry: dict[str, Any]) -> Column:
    family, dtype = entry["dtype"], dtype_of(entry["polars"])
    kind = PYTHON[family]

    def typed(value: Any) -> Any:
        return msgspec.convert(value, kind)

    rules = {rule: entry[rule] for rule in RULES if entry.get(rule) is not None}
    for rule, limit in rules.items():
        if rule == "isin":
            rules[rule] = [typed(value) for value in limit if value is not None]
        elif rule in BOUNDS:
            rules[rule] = typed(_rounded(rule, limit, kind))
    if family == "int" and "isin" not in rules:
        rules = _within(rules, *INTEGERS[str(dtype)])
    return Column(
        name=entry["name"],
        family=family,
        dtype=dtype,
        required=bool(entry["required"]),
        default=None if entry.get("default") is None else typed(entry["default"]),
        rules=rules,
        unit=entry.get("unit"),
        description=entry.get("description"),
    )


def _within(rules: dict[str, Any], least: int, most: int) -> dict[str, Any]:
    """Add the limits of a type of whole numbers, unless they are those of all 64 bits."""
    if least > -(2**63) and max(rules.get("ge", least - 1), rules.get("gt", least - 1)) < least:
        rules = {name: limit for name, limit in rules.items() if name != "gt"} | {"ge": least}
    if most < 2**63 - 1 and min(rules.get("le", most + 1), rules.get("lt", most + 1)) > most:
        rules = {name: limit for name, limit in rules.items() if name != "lt"} | {"le": most}
    return {name: rules[name] for name in RULES if name in rules}


def _rounded(name: str, limit: Any, kind: type) -> Any:
    """Round a limit of whole numbers inwards: "at least 0.5" becomes "at least 1"."""
    if kind is not int or isinstance(limit, int) or not math.isfinite(limit):
        return limit
    return math.ceil(limit) if name in ("ge", "lt") else math.floor(limit)


def rule_words(name: str, limit: Any) -> str:
    """Put a rule into words: "at most 9999"."""
    if name == "isin":
        some = ", ".join(map(str, limit[:SHOWN]))
        return RULES[name].format(some) + (", ..." if len(limit) > SHOWN else "")
    return RULES[name].format(limit.isoformat() if isinstance(limit, date) else limit)


def series_of(column: Column) -> Callable[[Sequence[Any]], pl.Series]:
    """Return a function that builds a series from valid values; None becomes null."""
    name, dtype = column.name, column.dtype
    if not isinstance(dtype, pl.Datetime):
        return lambda values: pl.Series(name, values, dtype=dtype)
    integer = pl.Int64()
    second = SECOND[dtype.time_unit]

    def times(values: Sequence[datetime | None]) -> pl.Series:
        # Faster than a list of datetimes, which costs polars 30 microseconds at least.
        counted = [None if value is None else ticks(value, second) for value in values]
        return pl.Series(name, counted, dtype=integer).cast(dtype)

    return times


def ticks(moment: datetime, second: int) -> int:
    """Convert a time to ticks since 1970, with `second` ticks per second."""
    return since_1970(moment) // _MICROSECOND * second // 1_000_000


def since_1970(moment: datetime) -> timedelta:
    """Return the time since 1970; a time without an offset counts as UTC."""
    return moment - (_EPOCH if moment.tzinfo is None else _EPOCH_UTC)
