"""PostgreSQL, through ADBC: rows come as Arrow, never as Python objects."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from adbc_driver_manager import Error
from adbc_driver_postgresql import dbapi

from rung_ops.data.warehouse.errors import WarehouseError, advice, column_in, first_lines
from rung_ops.data.warehouse.query import Query
from rung_ops.data.warehouse.source import BATCH, Ends, Rows
from rung_ops.data.warehouse.url import Address
from rung_ops.project.paths import shown

# One moment of the warehouse for all batches, and no way to change anything.
QUIET = ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", "SET LOCAL TIME ZONE 'UTC'")
# COPY, the driver's faster way, takes no parameters, and neither way would leave rows on the server
# until they are wanted: a cursor does both.
WITHOUT_COPY = {"adbc.postgresql.use_copy": "false"}
UNDEFINED_COLUMN = "42703"


class PostgreSQL:
    """An open connection to PostgreSQL."""

    def __init__(self, connection: Any, address: Address) -> None:
        self.connection = connection
        self.address = address

    def now(self) -> datetime:
        """Read the server's clock."""
        with self._transaction() as cursor:
            cursor.execute("SELECT now()")
            moment: datetime = cursor.fetchone()[0]
        return moment.astimezone(UTC).replace(tzinfo=None)

    def holds_any(self, query: Query, ends: Ends) -> bool:
        """Tell whether a query has a row between two moments."""
        with self._transaction(query) as cursor:
            cursor.execute(f"SELECT 1 FROM ({query.sql}\n) AS rows LIMIT 1", parameters=ends)
            return cursor.fetchone() is not None

    @contextmanager
    def rows(self, query: Query, ends: Ends) -> Iterator[Rows]:
        """Ask for all rows through a cursor of the server."""
        with self._transaction(query) as cursor:
            asked = f"DECLARE rows NO SCROLL CURSOR FOR {query.sql}"
            cursor.execute(asked, parameters=ends)
            first = self._fetch(cursor)
            yield Rows(first.schema, self._batches(cursor, first))

    def _batches(self, cursor: Any, table: pa.Table) -> Iterator[pa.RecordBatch]:
        while table.num_rows:
            yield from table.to_batches()
            table = self._fetch(cursor)

    def _fetch(self, cursor: Any) -> pa.Table:
        cursor.adbc_statement.set_options(**WITHOUT_COPY)
        cursor.execute(f"FETCH FORWARD {BATCH} FROM rows")
        return cursor.fetch_arrow_table()

    @contextmanager
    def _transaction(self, query: Query | None = None) -> Iterator[Any]:
        try:
            with closing(self.connection.cursor()) as cursor:
                for statement in QUIET:
                    cursor.execute(statement)
                yield cursor
            self.connection.rollback()
        except Error as error:
            raise warehouse_error(error, self.address, query) from None


@contextmanager
def connect(address: Address) -> Iterator[PostgreSQL]:
    """Connect.

    Raises:
        WarehouseError: access is denied.
    """
    try:
        connection = dbapi.connect(address.url)
    except Error as error:
        raise warehouse_error(error, address) from None
    try:
        yield PostgreSQL(connection, address)
    finally:
        connection.close()


def warehouse_error(error: Error, address: Address, query: Query | None = None) -> WarehouseError:
    """Put an error of the driver into words, without the password."""
    message = address.scrub(first_lines(str(error)))
    code = getattr(error, "sqlstate", None)
    where = f", asked for {shown(query.file)}" if query else ""
    gone = column_in(message) if code == UNDEFINED_COLUMN else None
    return WarehouseError(f"{address.shown}{where}: {message}. {advice(message, code)}", gone)
