"""Refuse a Parquet file whose rows do not fit into memory, before they are read.

A column of equal values takes a few bytes in the file: 3 MB can hold a hundred million rows.
"""

import tempfile
from pathlib import Path

import polars as pl

from rung_ops import contract
from rung_ops.contract import row_file
from rung_ops.contract.parquet_footer import MAGIC, unpacked_bytes
from rung_ops.errors import StageError
from rung_ops.project.paths import shown
from rung_ops.system import memory

COPIES = 2  # of the rows, at least: as they were read, and in the types of Row
SAMPLED = 64  # rows that the width of a type is measured on


class TooLargeError(StageError):
    """Rows need more memory than there is; the message says how many and what to do."""


def refuse_too_large(path: Path) -> None:
    """Refuse a Parquet file that load() would read whole and that does not fit into memory.

    Where load() gives a LazyFrame it may take some of the rows only: see refuse_large_frame().

    Raises:
        TooLargeError: its metadata says so.
    """
    if not _is_parquet(path):
        return
    try:
        frame = pl.scan_parquet(path, hive_partitioning=False, glob=False)
        rows, least = _size(frame)
    except pl.exceptions.PolarsError:
        return  # load() will say what is wrong with it
    # Texts count with what they take in the file; equal ones of a dictionary are kept once.
    size = rows, max(least, unpacked_bytes(path) or 0)
    if _fits(size) or row_file.is_row_file(path) or _is_read_lazily(path, frame.collect_schema()):
        return
    raise TooLargeError(_message(path, size))


def refuse_large_frame(frame: pl.LazyFrame, path: Path) -> None:
    """Refuse to collect what load() gives of a Parquet file where it does not fit into memory.

    Raises:
        TooLargeError: it does not fit.
    """
    if _is_parquet(path) and not _fits(size := _size(frame)):
        raise TooLargeError(_message(path, size))


def _is_parquet(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def _size(frame: pl.LazyFrame) -> tuple[int, int]:
    """Return the number of rows and the least number of bytes that they take in memory."""
    rows = int(frame.select(pl.len()).collect().item())
    return rows, round(rows * sum(map(_width, frame.collect_schema().dtypes())))


def _width(dtype: pl.DataType) -> float:
    """Measure how many bytes a value of a type takes at least."""
    nothing = pl.Series([None], dtype=dtype).new_from_index(0, SAMPLED)
    return nothing.estimated_size() / SAMPLED


def _fits(size: tuple[int, int]) -> bool:
    free = memory.available()
    return free is None or COPIES * size[1] <= free


def _is_read_lazily(path: Path, schema: pl.Schema) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / path.name
        pl.DataFrame(schema=schema).write_parquet(empty)
        try:
            return isinstance(contract.load(empty), pl.LazyFrame)
        except Exception:  # load() is the user's, and may raise anything
            return False


def _message(path: Path, size: tuple[int, int]) -> str:
    rows, bytes_ = size
    return (
        f"{shown(path)}: holds {rows:,} rows, which take {COPIES * bytes_ / 1e9:,.1f} GB of memory "
        f"or more; {(memory.available() or 0) / 1e9:,.1f} GB are free. Split the file, take a larger "
        "machine, or let load() return a LazyFrame that selects what you need."
    )
