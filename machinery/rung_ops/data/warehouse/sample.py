"""A warehouse to begin with: data/sample in a file of DuckDB, so that a pull works offline.

Rung keeps this file; set WAREHOUSE_URL to use a warehouse of your own.
"""

from pathlib import Path

import duckdb

from rung_ops import contract
from rung_ops.contract.raw_file import UnreadableFileError, read
from rung_ops.contract.row_checks import inspect
from rung_ops.data.warehouse.errors import WarehouseError, full_disk
from rung_ops.project import current
from rung_ops.project.paths import raw_files_in, shown
from rung_ops.system import atomic


def fill(file: Path) -> None:
    """Make the file: a table for each file of data/sample, of its name, with the columns of Row.

    Raises:
        WarehouseError: a file of the sample cannot be read, or breaks Row; or there is none.
    """
    files = raw_files_in(current().sample)
    if not files:
        raise WarehouseError(
            "WAREHOUSE_URL is not set, and data/sample has no rows to make a warehouse of: set it, "
            "in the environment or in .env."
        )
    try:
        with atomic.writing(file) as draft, duckdb.connect(draft) as connection:
            for path in files:
                _table(connection, path)
    except (OSError, duckdb.IOException) as error:
        full = full_disk(OSError(*error.args), shown(file))
        if full is None:
            raise
        raise full from None


def _table(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    try:
        rows, problems = inspect(read(path), contract.Row.to_schema(), shown(path))
    except UnreadableFileError as error:
        raise WarehouseError(str(error)) from error
    if problems:
        raise WarehouseError(f"{problems[0]}. Fix data/sample, or set WAREHOUSE_URL.")
    connection.register("rows", rows.to_arrow())
    name = path.stem.replace('"', '""')
    connection.execute(f'CREATE TABLE "{name}" AS SELECT * FROM rows')
