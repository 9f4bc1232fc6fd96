"""What is asked of a warehouse, whichever it is."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol

import pyarrow as pa

from rung_ops.data.warehouse.query import Query
from rung_ops.data.warehouse.settings import WarehouseError
from rung_ops.project.paths import shown
from rung_ops.system import files
from rung_ops.system.files import is_full

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
