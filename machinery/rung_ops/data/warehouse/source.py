"""What is asked of a warehouse, whichever it is."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import pyarrow as pa

from rung_ops.data.warehouse.errors import WarehouseError
from rung_ops.data.warehouse.query import Query
from rung_ops.data.warehouse.url import Address

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
    """An open connection. Every method raises WarehouseError where the warehouse says no."""

    def now(self) -> datetime:
        """Read the warehouse's clock: UTC, without a zone."""

    def holds_any(self, query: Query, ends: Ends) -> bool:
        """Tell whether a query has a row between two moments."""

    def rows(self, query: Query, ends: Ends) -> AbstractContextManager[Rows]:
        """Ask for all rows, of one moment of the warehouse; they come batch by batch."""


@contextmanager
def connected(address: Address) -> Iterator[Source]:
    """Connect to the warehouse at an address.

    Raises:
        WarehouseError: there is no driver, or nobody lets us in.
    """
    # Imported here: a project has the drivers of both, but only one is used at a time.
    try:
        if address.file is None:
            from rung_ops.data.warehouse import postgresql

            opened: AbstractContextManager[Source] = postgresql.connect(address)
        else:
            from rung_ops.data.warehouse import duckdb

            opened = duckdb.connect(address)
    except ImportError as error:
        raise WarehouseError(
            f"The driver for {address.shown} is not installed ({error}): `uv sync` installs it."
        ) from None
    with opened as source:
        yield source
