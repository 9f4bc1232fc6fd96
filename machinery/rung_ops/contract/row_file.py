"""Raw files that Rung wrote itself, of rows of Row: read without load(), which knows foreign files.

The autopilot writes what production answered into data/incoming, a replay the rows that it begins
with into data/sample.
"""

from pathlib import Path

import polars as pl

from rung_ops import contract

MARK = {"rung": "rows of Row"}  # in the metadata of the file


def write(rows: pl.DataFrame, path: Path) -> None:
    """Write rows, with the columns of Row in their types, as a raw file."""
    rows.write_parquet(path, metadata=MARK)


def is_row_file(path: Path) -> bool:
    """Return whether a file was written by write()."""
    if path.suffix != ".parquet":
        return False
    try:
        return MARK.items() <= pl.read_parquet_metadata(path).items()
    except (pl.exceptions.PolarsError, OSError):
        return False  # load() will say what is wrong with it


def load(path: Path) -> pl.DataFrame | pl.LazyFrame:
    """Read a raw file by load() of dataset.py, or as it is where Rung wrote it."""
    if is_row_file(path):
        return pl.scan_parquet(path, hive_partitioning=False, glob=False)
    return contract.load(path)
