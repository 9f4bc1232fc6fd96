"""What is asked of a warehouse, whichever it is."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import pyarrow as pa

from rung_ops.data.warehouse.query import Query

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
