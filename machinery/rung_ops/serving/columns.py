"""The columns of a release's contract: their rules in words, and frames built from their values."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import polars as pl

from rung_ops.release.dtypes import dtype_of

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
    "date": "a date as 2026-01-31",
    "datetime": "a time as 2026-01-31T08:00:00Z",
}
WITHOUT_OFFSET = "a time without an offset, as 2026-01-31T08:00:00"
BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
SHOWN = 20  # values of a list that are named in words
SECOND = {"ns": 1_000_000_000, "us": 1_000_000, "ms": 1_000}  # ticks of a frame's moments

_EPOCH = datetime(1970, 1, 1)
_EPOCH_UTC = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Column:
    """One column, as the contract has it.

    Attributes:
        name: as the caller writes it.
        family: bool, int, float, str, date or datetime.
        dtype: its type in the frame.
        required: has to be there, and not null.
        default: stands in where it is missing; None for an empty value.
        bounds: ge, gt, le, lt: the limits that it has, of the family's type.
        isin: the values that it may have; None for any.
        pattern: that a text must match; None for any.
        lengths: the least and the largest number of characters, each None where there is none.
        unit, description: for people.
    """

    name: str
    family: str
    dtype: pl.DataType
    required: bool
    default: Any
    bounds: dict[str, Any]
    isin: list[Any] | None
    pattern: str | None
    lengths: tuple[int | None, int | None]
    unit: str | None
    description: str | None

    @property
    def without_offset(self) -> bool:
        """Whether it holds times that have no time zone; one with an offset would be moved to UTC."""
        return isinstance(self.dtype, pl.Datetime) and self.dtype.time_zone is None

    @property
    def words(self) -> str:
        """What is asked for, in words: "a whole number, at least 1, at most 9999"."""
        said = [WITHOUT_OFFSET if self.without_offset else KINDS[self.family]]
        if self.isin is not None:
            some = ", ".join(map(str, self.isin[:SHOWN]))
            said = [f"one of {some}" + (", ..." if len(self.isin) > SHOWN else "")]
        said += [f"{BOUNDS[name]} {_plain(limit)}" for name, limit in self.bounds.items()]
        least, most = self.lengths
        said += [f"at least {least} characters"] if least is not None else []
        said += [f"at most {most} characters"] if most is not None else []
        said += [f"matching {self.pattern}"] if self.pattern is not None else []
        return ", ".join(said)


def columns_of(contract: dict[str, Any]) -> list[Column]:
    """Read the columns of a contract, without the target.

    Raises:
        KeyError, TypeError, ValueError: it is no contract.
    """
    return [_column(entry) for entry in contract["columns"]]


def _column(entry: dict[str, Any]) -> Column:
    family, dtype = entry["dtype"], dtype_of(entry["polars"])
    kind = PYTHON[family]

    def typed(value: Any) -> Any:
        return msgspec.convert(value, kind)

    bounds = {name: typed(_whole(name, entry[name], kind)) for name in BOUNDS if _set(entry, name)}
    isin = entry.get("isin")
    return Column(
        name=entry["name"],
        family=family,
        dtype=dtype,
        required=bool(entry["required"]),
        default=typed(entry["default"]) if _set(entry, "default") else None,
        bounds=bounds,
        isin=[typed(value) for value in isin if value is not None] if isin is not None else None,
        pattern=entry.get("pattern"),
        lengths=(entry.get("min_length"), entry.get("max_length")),
        unit=entry.get("unit"),
        description=entry.get("description"),
    )


def _set(entry: dict[str, Any], name: str) -> bool:
    return entry.get(name) is not None


def _whole(name: str, limit: Any, kind: type) -> Any:
    """Round a limit of whole numbers inwards: at least 0.5 is at least 1."""
    if kind is not int or isinstance(limit, int) or not math.isfinite(limit):
        return limit
    return math.ceil(limit) if name in ("ge", "lt") else math.floor(limit)


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, date) else f"{value}"


def series_of(column: Column) -> Callable[[Sequence[Any]], pl.Series]:
    """Make a function that builds a column from values that keep its rules; None is empty."""
    name, dtype = column.name, column.dtype
    if not isinstance(dtype, pl.Datetime):
        return lambda values: pl.Series(name, values, dtype=dtype)
    whole = pl.Int64()
    second = SECOND[dtype.time_unit]

    def moments(values: Sequence[datetime | None]) -> pl.Series:
        # From a list of moments polars takes 30 microseconds to begin with.
        counted = [None if value is None else ticks(value, second) for value in values]
        return pl.Series(name, counted, dtype=whole).cast(dtype)

    return moments


def ticks(moment: datetime, second: int) -> int:
    """Count a moment as a frame does, with so many ticks to a second."""
    since = since_1970(moment)
    whole = since.days * 86_400 + since.seconds
    return whole * second + since.microseconds * second // 1_000_000


def since_1970(moment: datetime) -> timedelta:
    """Measure a moment as polars does; without an offset it is taken as UTC."""
    return moment - (_EPOCH if moment.tzinfo is None else _EPOCH_UTC)
