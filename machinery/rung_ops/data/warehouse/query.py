"""The query of queries/rows.sql with its two parameters, and what is asked of any warehouse."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Protocol

import pyarrow as pa

from rung_ops.data.warehouse.settings import WarehouseError
from rung_ops.project import current
from rung_ops.project.paths import shown
from rung_ops.system import files
from rung_ops.system.files import is_full

PARAMETERS = ("since", "until")
# What is not SQL's own words, where a $ means nothing: texts, quoted names, comments. PostgreSQL's
# texts between $tags$ among them, and comments within comments to a depth of two.
APART = re.compile(
    r"""
    '(?:[^']|'')*' | "(?:[^"]|"")*"
    | --[^\n]*
    | /\*(?:[^*/]|\*(?!/)|/(?!\*)|/\*(?:[^*]|\*(?!/))*\*/)*\*/
    | (?P<tag>\$(?:[A-Za-z_]\w*)?\$).*?(?P=tag)
    | (?<![\w$])\$(?P<name>[A-Za-z_]\w*)
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Query:
    """A query as the drivers take it."""

    file: Path
    sql: str  # the text, with $1 and $2 for `since` and `until`, without a semicolon at its end
    windowed: bool  # it has the two parameters
    hash: str  # of the text without comments and layout; another one is another query


def read(name: str | Path, watermark: str | None) -> Query:
    """Read a query, which must have both parameters if there is a watermark, and otherwise none.

    Args:
        watermark: None for a query of events, which never has them.
    """
    file = current().root / name
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise WarehouseError(
            f"{shown(file)}, which {'features.py' if watermark is None else 'ops/warehouse.toml'} "
            "names, is missing: write it, or fix its name."
        ) from None
    names: set[str] = set()

    def numbered(match: re.Match[str]) -> str:
        name = match["name"]
        if name is None:
            # A comment may hold a semicolon or a parenthesis: a space instead.
            return " " if match[0].startswith(("--", "/*")) else match[0]
        if name not in PARAMETERS:
            raise WarehouseError(
                f"{shown(file)}: unknown parameter `${name}`; use $since and $until."
            )
        names.add(name)
        return f"${PARAMETERS.index(name) + 1}"

    sql = APART.sub(numbered, text).strip().rstrip("; \n\t")
    if not sql:
        raise WarehouseError(f"{shown(file)} holds no query.")
    missing = [f"${name}" for name in PARAMETERS if name not in names]
    if watermark and missing:
        raise WarehouseError(
            f"{shown(file)} does not use {' and '.join(missing)}, so that every window would hold "
            f"the same rows: write `where {watermark} >= $since and {watermark} < $until`, or "
            "empty `watermark` in ops/warehouse.toml to take all rows each time."
        )
    if watermark is None and names:
        raise WarehouseError(
            f"{shown(file)} is a query of events, which has no parameters: take $since and $until out."
        )
    if not watermark and names:
        raise WarehouseError(
            f"{shown(file)} asks for a window, and `watermark` in ops/warehouse.toml is empty: name "
            "the column there, or take $since and $until out of the query."
        )
    tidy = " ".join(sql.split())
    return Query(file, sql, bool(names), hashlib.sha256(tidy.encode()).hexdigest())


NAME = re.compile(r"(\d{4}-\d\d-\d\d)--(\d{4}-\d\d-\d\d)\.parquet(?:\.dvc)?\Z")


@dataclass(frozen=True, order=True)
class DayRange:
    """Days in a row, in UTC."""

    since: date
    until: date  # the first day after it

    def __str__(self) -> str:
        return f"{self.since} up to {self.until}"

    @property
    def file_name(self) -> str:
        """The name of its file; the same wherever it is taken."""
        return f"{self.since}--{self.until}.parquet"

    @property
    def ends(self) -> tuple[datetime, datetime]:
        """Its first moment, and the first after it."""
        return datetime.combine(self.since, time()), datetime.combine(self.until, time())


def taken(folder: Path) -> list[DayRange]:
    """List the windows that were taken, the earliest first; refuse two that have days in common."""
    names = [NAME.match(path.name) for path in folder.glob("*.parquet*")]
    windows = sorted({DayRange(*map(date.fromisoformat, name.groups())) for name in names if name})
    for earlier, later in pairwise(windows):
        if later.since < earlier.until:
            raise WarehouseError(
                f"{shown(folder)}: {earlier.file_name} and {later.file_name} have days in common, and "
                "their rows would count twice. Delete one of them together with its .dvc file."
            )
    return windows


def waiting(
    done: list[DayRange], first: date, limit: date, size: timedelta
) -> Iterator[list[DayRange]]:
    """List the windows before `limit` that were not taken, in runs without a break."""
    day = first
    for window in done:
        if day < window.since:
            yield list(_cut(day, window.since, size))
        day = max(day, window.until)
    whole = (limit - day) // size * size  # the last window waits until it is over
    yield list(_cut(day, day + whole, size))


def _cut(since: date, until: date, size: timedelta) -> Iterator[DayRange]:
    while since < until:
        end = min(since + size, until)
        yield DayRange(since, end)
        since = end


AGAIN = "What was taken stays; `uv run poe data pull` goes on where this one stopped."
BATCH = 32_768  # rows in memory at a time

Ends = tuple[datetime, datetime] | None  # since and until, in UTC without a zone; None for all rows


class Rows(NamedTuple):
    """The answer to a query, as it comes in: `schema` is known before the first row."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]  # of at most BATCH rows


class Source(Protocol):
    """An open connection. Every method raises WarehouseError if the warehouse says no."""

    def at_one_moment(self) -> AbstractContextManager["Source"]:
        """Answer several queries from the same state of the warehouse."""

    def microseconds(self, sql: str) -> str:
        """Write a time as microseconds since 1970."""

    def now(self) -> datetime:
        """Read the warehouse's clock: UTC, without a zone."""

    def holds_any(self, query: Query, ends: Ends) -> bool:
        """Tell whether a query has a row between two moments."""

    def rows(self, query: Query, ends: Ends) -> AbstractContextManager[Rows]:
        """Ask for all rows, of one moment of the warehouse; they come batch by batch."""


def column_in(message: str) -> str | None:
    """Find the name of the column that a message begins with or speaks of first."""
    match = re.search(r'column "?(?:\w+\.)?(\w+)"?', message)
    return match[1] if match else None


@contextmanager
def writing(file: Path, errors: tuple[type[Exception], ...] = (OSError,)) -> Iterator[Path]:
    """Write a file whole or not at all, and say so where the disk is full; yields its draft.

    `errors` are those of the writer that may mean it; a warehouse's own speak of its own disk.
    """
    try:
        with files.writing(file) as draft:
            yield draft
    except errors as error:
        if not is_full(error) and "No space left" not in str(error):
            raise
        raise WarehouseError(
            f"The disk is full, and {shown(file)} was not written. Make room. {AGAIN}"
        ) from None
