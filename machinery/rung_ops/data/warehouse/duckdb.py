"""DuckDB, in this process: a warehouse in a file."""

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from rung_ops.contract.raw_file import read
from rung_ops.contract.row_checks import inspect_labelled
from rung_ops.data.warehouse.query import BATCH, Ends, Query, Rows, column_in, writing
from rung_ops.data.warehouse.settings import Address, WarehouseError
from rung_ops.project import current
from rung_ops.project.paths import raw_files_in, shown

CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": "1GB",  # of sorts and joins; beyond that DuckDB works on the disk
    "autoinstall_known_extensions": False,  # nothing is fetched in the middle of a query
}
FAILED = (duckdb.Error, pa.ArrowInvalid, pa.ArrowException)


@dataclass(frozen=True)
class Embedded:
    """An open file of DuckDB."""

    connection: duckdb.DuckDBPyConnection
    address: Address

    @contextmanager
    def at_one_moment(self) -> Iterator["Embedded"]:
        """Answer several queries: no other process writes a file that is open here."""
        yield self

    def microseconds(self, sql: str) -> str:
        """Write a time as microseconds since 1970."""
        return f"epoch_us({sql})"

    def now(self) -> datetime:
        """Read the clock of this machine, which is the warehouse's too."""
        return datetime.now(UTC).replace(tzinfo=None)

    def holds_any(self, query: Query, ends: Ends) -> bool:
        """Tell whether a query has a row between two moments."""
        try:
            probe = f"SELECT 1 FROM ({query.sql}\n) AS rows LIMIT 1"
            with closing(self.connection.cursor()) as cursor:
                return cursor.execute(probe, list(ends or ())).fetchone() is not None
        except FAILED as error:
            raise warehouse_error(error, self.address, query) from None

    @contextmanager
    def rows(self, query: Query, ends: Ends) -> Iterator[Rows]:
        """Ask for all rows; they come as they are found."""
        # Both are closed even where not all rows were wanted, or DuckDB waits for them for ever.
        try:
            with closing(self.connection.cursor()) as cursor:
                relation = cursor.sql(query.sql, params=list(ends or ()))
                if relation is None:
                    raise WarehouseError(f"{shown(query.file)} gives no rows: it must be a SELECT.")
                with closing(relation.to_arrow_reader(BATCH)) as reader:
                    yield Rows(reader.schema, iter(reader))
        except FAILED as error:
            raise warehouse_error(error, self.address, query) from None


@contextmanager
def connect(address: Address) -> Iterator[Embedded]:
    """Open the file, to read."""
    assert address.file is not None
    if not address.file.is_file():
        raise WarehouseError(f"{address.shown} does not exist: fix WAREHOUSE_URL.")
    try:
        connection = duckdb.connect(address.file, read_only=True, config=CONFIG)
    except duckdb.Error as error:
        raise WarehouseError(
            f"{address.shown} cannot be opened: {_first_line(error)}. Where another process writes "
            "it, wait until it ends."
        ) from None
    # Without its extension for time zones DuckDB knows only UTC anyway.
    with suppress(duckdb.Error):
        connection.execute("SET TimeZone = 'UTC'")
    try:
        yield Embedded(connection, address)
    finally:
        connection.close()


def warehouse_error(error: Exception, address: Address, query: Query) -> WarehouseError:
    """Put an error of DuckDB into words."""
    todo = "Fix the query."
    if isinstance(error, duckdb.CatalogException) and address.is_sample:
        todo = (
            "It has one table for each file of data/sample, of the file's name. Fix the query, "
            f"or delete {address.shown}: the next pull fills it again."
        )
    if isinstance(error, duckdb.OutOfMemoryException):
        todo = "Make `window_days` smaller in ops/warehouse.toml."
    message = _first_line(error)
    where = f"{address.shown}, asked for {shown(query.file)}"
    gone = column_in(message) if isinstance(error, duckdb.BinderException) else None
    return WarehouseError(f"{where}: {message}. {todo}", gone)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")


def fill_sample(file: Path) -> None:
    """Make the file: a table for each file of data/sample, of its name, with the columns of Row."""
    files = raw_files_in(current().sample)
    if not files:
        raise WarehouseError(
            "WAREHOUSE_URL is not set, and data/sample has no rows to make a warehouse of: set it, "
            "in the environment or in .env."
        )
    with writing(file, (OSError, duckdb.Error)) as draft, duckdb.connect(draft) as connection:
        for path in files:
            rows, problems, _ = inspect_labelled(read(path), shown(path))
            if problems:
                raise WarehouseError(f"{problems[0]}. Fix data/sample, or set WAREHOUSE_URL.")
            connection.register("rows", rows.to_arrow())
            name = path.stem.replace('"', '""')
            connection.execute(f'CREATE TABLE "{name}" AS SELECT * FROM rows')
