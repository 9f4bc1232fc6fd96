"""PostgreSQL, through ADBC: rows come as Arrow, never as Python objects."""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from adbc_driver_manager import Error
from adbc_driver_postgresql import dbapi

from rung_ops.data.warehouse.query import AGAIN, BATCH, Ends, Query, Rows, column_in
from rung_ops.data.warehouse.settings import Address, WarehouseError
from rung_ops.project.paths import shown
from rung_ops.system.printable import printable

# One moment of the warehouse for all batches, and no way to change anything.
QUIET = (
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    "SET LOCAL TIME ZONE 'UTC'",
    "SET LOCAL standard_conforming_strings = on",  # as literal() writes texts
)
# COPY, the driver's faster way, takes no parameters, and neither way would leave rows on the server
# until they are wanted: a cursor does both.
WITHOUT_COPY = {"adbc.postgresql.use_copy": "false"}
UNDEFINED_COLUMN = "42703"

# What PostgreSQL's client says where it gives no code, and what it means.
KNOWN_ERRORS = (
    (
        "password authentication failed",
        "The warehouse refused the user or the password. A password that has expired (VALID UNTIL) "
        "is refused in the same words: ask the administrator, then set WAREHOUSE_URL.",
    ),
    ("no password supplied", "The warehouse asks for a password: put one into WAREHOUSE_URL."),
    (
        "is not permitted to log in",
        "The user is blocked: ask the administrator of the warehouse to unblock it.",
    ),
    ("does not exist", "WAREHOUSE_URL names a user or a database that does not exist: fix it."),
    (
        "no pg_hba.conf entry",
        "The warehouse does not let this machine in with this user: ask its administrator. Some "
        "warehouses want `?sslmode=require` at the end of WAREHOUSE_URL.",
    ),
    ("translate host name", "There is no such host: fix WAREHOUSE_URL, or check the network."),
    (
        "timeout expired",
        "It did not answer in time: look whether this machine may reach it (VPN, firewall).",
    ),
    (
        "Connection refused",
        "Nothing answers there: look whether the warehouse is up, and whether host and port in "
        "WAREHOUSE_URL are right.",
    ),
    ("server closed the connection", f"It went away in the middle. {AGAIN}"),
    ("terminating connection", f"It went away in the middle. {AGAIN}"),
    ("could not receive data", f"The connection broke. {AGAIN}"),
    ("no connection to the server", f"The connection broke. {AGAIN}"),
    ("starting up", "It is starting: try again in a minute."),
    ("shutting down", f"It is being stopped. {AGAIN}"),
    ("too many", "It has no connection free: try again later."),
    ("SSL", "Look at `sslmode` in WAREHOUSE_URL, and at the certificates."),
)
# PostgreSQL's codes, https://www.postgresql.org/docs/current/errcodes-appendix.html
CODES = {
    "42601": "Fix the query: it is not valid SQL.",
    "42P01": "The query names a table that does not exist, or that the user may not see: fix it.",
    UNDEFINED_COLUMN: "Fix the query.",
    "42883": "The query calls an unknown function, or compares types that do not match: fix it.",
    "42P18": "Say of which type a parameter is, such as `$since::timestamp`.",
    "42501": "Ask the administrator of the warehouse for the right to read this (GRANT SELECT).",
    "53100": f"The disk of the warehouse is full: tell its administrator. {AGAIN}",
    "53200": "The warehouse has no memory left: make `window_days` smaller in ops/warehouse.toml.",
    "53300": "It has no connection free: try again later.",
    "57014": "The warehouse stopped the query, which took too long: make `window_days` smaller in "
    "warehouse.toml, or index the watermark.",
    "57P01": f"It was stopped in the middle. {AGAIN}",
    "57P02": f"It crashed in the middle. {AGAIN}",
    "57P03": "It is starting: try again in a minute.",
}
OTHERWISE = "Fix the query, or WAREHOUSE_URL."


@dataclass(frozen=True)
class PostgreSQL:
    """An open connection to PostgreSQL."""

    connection: Any
    address: Address
    is_begun: bool = False  # a transaction, by at_one_moment()

    @contextmanager
    def at_one_moment(self) -> Iterator["PostgreSQL"]:
        """Answer several queries in one transaction."""
        with self._transaction():
            yield replace(self, is_begun=True)

    def microseconds(self, sql: str) -> str:
        """Write a time as microseconds since 1970."""
        return f"CAST(extract(epoch FROM {sql}) * 1000000 AS BIGINT)"

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
            statement = f"DECLARE rows NO SCROLL CURSOR FOR {query.sql}"
            cursor.execute(statement, parameters=ends)
            first = self._fetch(cursor)
            yield Rows(first.schema, self._batches(cursor, first))
            cursor.execute("CLOSE rows")

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
                for statement in () if self.is_begun else QUIET:
                    cursor.execute(statement)
                yield cursor
            if not self.is_begun:
                self.connection.rollback()
        except Error as error:
            raise warehouse_error(error, self.address, query) from None


@contextmanager
def connect(address: Address) -> Iterator[PostgreSQL]:
    """Connect."""
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
    # Without the query, which is known.
    lines = str(error).split("Query was:")[0].splitlines()
    message = printable(" ".join(filter(None, map(str.strip, lines))))
    message = address.scrub(re.sub(r"\A[A-Z_]+: (\[libpq\] )?", "", message).rstrip(".?"))
    code = getattr(error, "sqlstate", None)
    where = f", asked for {shown(query.file)}" if query else ""
    gone = column_in(message) if code == UNDEFINED_COLUMN else None
    known = next((words for part, words in KNOWN_ERRORS if part in message), OTHERWISE)
    return WarehouseError(
        f"{address.shown}{where}: {message}. {CODES.get(code or '', known)}", gone
    )
