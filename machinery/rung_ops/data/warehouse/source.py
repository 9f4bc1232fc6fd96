"""What is asked of a warehouse, whichever it is."""

import errno
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import pyarrow as pa

from rung_ops.data.warehouse.query import Query
from rung_ops.data.warehouse.settings import WarehouseError

AGAIN = "What was taken stays; `uv run poe data pull` goes on where this one stopped."
BATCH = 32_768  # rows in memory at a time

Ends = tuple[datetime, datetime] | None  # since and until, in UTC without a zone; None for all rows


@dataclass(frozen=True)
class Rows:
    """The answer to a query, as it comes in.

    Attributes:
        schema: its columns, known before the first row.
        batches: at most BATCH rows each.
    """

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]


class Source(Protocol):
    """An open connection. Every method raises WarehouseError if the warehouse says no."""

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


def full_disk(error: OSError, where: str) -> WarehouseError | None:
    """Say that a disk is full; None for an error of another kind."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT) and "No space left" not in str(error):
        return None
    return WarehouseError(f"The disk is full, and {where} was not written. Make room. {AGAIN}")
