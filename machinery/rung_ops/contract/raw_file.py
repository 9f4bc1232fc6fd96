"""Read one raw file through load() of dataset.py, as a frame or as rows of Parquet."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from rung_ops.contract import row_file
from rung_ops.contract.parquet_size import TooLargeError, refuse_large_frame, refuse_too_large
from rung_ops.errors import StageError
from rung_ops.project import current
from rung_ops.project.paths import shown
from rung_ops.system import atomic
from rung_ops.system.disk import is_full
from rung_ops.system.printable import printable


class UnreadableFileError(StageError):
    """A raw file cannot be read; the message says which, why and what to do."""


class DiskFullError(StageError):
    """There is no room for what was read; the message says where, and what to do."""


def read(path: Path) -> pl.DataFrame:
    """Read one raw file.

    Raises:
        UnreadableFileError: load() cannot make a frame of it.
    """
    with _named(path):
        refuse_too_large(path)
        frame = row_file.load(path)
        if not isinstance(frame, pl.LazyFrame):
            return frame
        refuse_large_frame(frame, path)
        return frame.collect()


def write(path: Path, target: Path, row_group_size: int | None = None) -> int:
    """Read one raw file and write its rows as Parquet, whole or not at all.

    Where load() gives a LazyFrame, the rows pass through as a stream and are never all in memory.

    Args:
        path: the raw file.
        target: the Parquet file.
        row_group_size: rows in a row group; as Polars chooses where it is None.

    Returns:
        The number of rows.

    Raises:
        UnreadableFileError: load() cannot make a frame of it.
        DiskFullError: there is no room for the target.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic.writing(target) as draft, _named(path):
        refuse_too_large(path)
        frame = row_file.load(path)
        if isinstance(frame, pl.LazyFrame):
            frame.sink_parquet(draft, row_group_size=row_group_size)
        else:
            frame.write_parquet(draft, row_group_size=row_group_size)
    return int(pl.scan_parquet(target).select(pl.len()).collect().item())


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except TooLargeError as error:
        raise UnreadableFileError(str(error)) from error
    except Exception as error:  # load() is the user's, and may raise anything, a lazy frame late
        if is_full(error):
            raise DiskFullError(
                f"{shown(path)}: there is no room for its rows in {shown(current().ingested)}. Make room on "
                "the disk, and type it again."
            ) from error
        reason = printable(next(iter(str(error).strip().splitlines()), ""))
        raise UnreadableFileError(
            f"{shown(path)}: cannot be read ({type(error).__name__}: {reason}). "
            "Fix the file, or load() in dataset.py, which reads it."
        ) from error
