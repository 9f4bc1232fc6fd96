"""Read one raw file through load() of dataset.py, as a frame or as rows of Parquet."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from rung_ops import contract
from rung_ops.errors import StageError, UnreadableFileError
from rung_ops.project import current
from rung_ops.project.paths import shown
from rung_ops.system import files, processes
from rung_ops.system.files import is_full
from rung_ops.system.printable import printable


def read(path: Path) -> pl.DataFrame:
    """Read one raw file, as a frame."""
    with _named(path):
        refuse_too_large(path)
        frame = load_rows(path)
        if not isinstance(frame, pl.LazyFrame):
            return frame
        refuse_large_frame(frame, path)
        return frame.collect()


def read_lazily(path: Path, target: Path) -> pl.LazyFrame:
    """Read one raw file; where load() gives a LazyFrame, its rows pass through a file as a stream."""
    with _named(path, target):
        refuse_too_large(path)
        frame = load_rows(path)
        if not isinstance(frame, pl.LazyFrame):
            return frame.lazy()
        frame.sink_parquet(target)
        return pl.scan_parquet(target, hive_partitioning=False, glob=False)


def write(path: Path, target: Path, row_group_size: int | None = None) -> int:
    """Read one raw file and write its rows as Parquet, whole or not at all; return their number.

    Where load() gives a LazyFrame, the rows pass through as a stream and are never all in memory.

    Raises:
        UnreadableFileError: load() cannot make a frame of it.
        StageError: there is no room for the target.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with files.opened(target) as draft, _named(path, target):
        refuse_too_large(path)
        frame = load_rows(path)
        if isinstance(frame, pl.LazyFrame):
            frame.sink_parquet(draft, row_group_size=row_group_size)
        else:
            frame.write_parquet(draft, row_group_size=row_group_size)
    rows = pl.scan_parquet(target, hive_partitioning=False, glob=False)
    return int(rows.select(pl.len()).collect().item())


@contextmanager
def _named(path: Path, target: Path | None = None) -> Iterator[None]:
    """Name the file in an error; where the disk is full, the folder of the target, too."""
    try:
        yield
    except StageError:  # which says what is wrong: with this file, or with src/
        raise
    except Exception as error:  # load() is the user's, and may raise anything, a lazy frame late
        if is_full(error):
            where = target.parent if target else current().ingested
            raise StageError(
                f"{shown(path)}: there is no room for its rows in {shown(where)}. Make room on the disk, "
                "and type it again."
            ) from error
        reason = printable(next(iter(str(error).strip().splitlines()), ""))
        raise UnreadableFileError(
            f"{shown(path)}: cannot be read ({type(error).__name__}: {reason}{_line(path, error)}). "
            "Fix the file, or load() in dataset.py, which reads it."
        ) from error


# The first value that a strict conversion of Polars cannot take.
UNCONVERTED = re.compile(r'^conversion from .* failed in column .* values: \["(.+?)"[],]')


def _line(path: Path, error: Exception) -> str:
    """Name the line of a text file that holds the value of an error of Polars."""
    found = UNCONVERTED.match(str(error))
    if found is None or not path.is_file() or _is_parquet(path):
        return ""
    with path.open("rb") as file:
        lines = (number for number, line in enumerate(file, 1) if found[1].encode() in line)
        number = next(lines, None)
    return f", first in line {number:,}" if number else ""


MARK = {"rung": "rows of Row"}  # in the metadata of the file


def write_rows(rows: pl.DataFrame, path: Path) -> None:
    """Write rows, with the columns of Row in their types, as a raw file."""
    rows.write_parquet(path, metadata=MARK)


def is_row_file(path: Path) -> bool:
    """Return whether a file was written by write_rows()."""
    if path.suffix != ".parquet":
        return False
    try:
        return MARK.items() <= pl.read_parquet_metadata(path).items()
    except (pl.exceptions.PolarsError, OSError):
        return False  # load() will say what is wrong with it


def load_rows(path: Path) -> pl.DataFrame | pl.LazyFrame:
    """Read a raw file by load() of dataset.py, or as it is where Rung wrote it."""
    if is_row_file(path):
        return pl.scan_parquet(path, hive_partitioning=False, glob=False)
    return contract.load(path)


def row_count(path: Path) -> int | None:
    """Count the rows of a raw file without load(); None where its format does not tell.

    Of CSV the first line counts as a header, and blank lines do not count.
    """
    try:
        if _is_parquet(path):
            frame = pl.scan_parquet(path, hive_partitioning=False, glob=False)
        elif path.suffix == ".csv":
            # One column of text is enough: separator and types are load()'s.
            frame = pl.scan_csv(
                path,
                infer_schema=False,
                encoding="utf8-lossy",
                truncate_ragged_lines=True,
                glob=False,
            ).filter(pl.any_horizontal(pl.all().is_not_null()))
        elif path.suffix in (".jsonl", ".ndjson"):
            with path.open("rb") as lines:
                return sum(bool(line.strip()) for line in lines)
        else:
            return None
        return int(frame.select(pl.len()).collect().item())
    except pl.exceptions.PolarsError:
        return None


MAGIC = b"PAR1"  # what a Parquet file begins with
COPIES = 2  # of the rows, at least: as they were read, and in the types of Row
SAMPLED = 64  # rows that the width of a type is measured on


def refuse_too_large(path: Path) -> None:
    """Refuse a Parquet file that load() would read whole and that does not fit into memory.

    Where load() gives a LazyFrame it may take some of the rows only: see refuse_large_frame().
    """
    if not _is_parquet(path):
        return
    try:
        frame = pl.scan_parquet(path, hive_partitioning=False, glob=False)
        rows, least = _size(frame)
    except pl.exceptions.PolarsError:
        return  # load() will say what is wrong with it
    # Texts count with what they take in the file; equal ones of a dictionary are kept once.
    size = rows, max(least, _unpacked_bytes(path, frame.collect_schema()))
    if _fits(size) or is_row_file(path) or _is_read_lazily(path, frame.collect_schema()):
        return
    raise UnreadableFileError(_message(path, size))


def refuse_large_frame(frame: pl.LazyFrame, path: Path) -> None:
    """Refuse to collect what load() gives of a Parquet file where it does not fit into memory."""
    if _is_parquet(path) and not _fits(size := _size(frame)):
        raise UnreadableFileError(_message(path, size))


def _is_parquet(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def _size(frame: pl.LazyFrame) -> tuple[int, int]:
    """Return the number of rows and the least number of bytes that they take in memory."""
    rows = int(frame.select(pl.len()).collect().item())
    empty = (pl.Series([None], dtype=dtype) for dtype in frame.collect_schema().dtypes())
    width = sum(each.new_from_index(0, SAMPLED).estimated_size() for each in empty) / SAMPLED
    return rows, round(rows * width)


def _unpacked_bytes(path: Path, schema: pl.Schema) -> int:
    """Read from a file's metadata how many bytes it holds unpacked, where the types do not say it.

    0 where pyarrow is missing, which MLflow and the warehouse's drivers bring.
    """
    if not any(dtype.is_nested() or dtype in (pl.String, pl.Binary) for dtype in schema.dtypes()):
        return 0
    try:
        from pyarrow import ArrowException, parquet  # takes a quarter of a second
    except ImportError:
        return 0
    try:
        metadata = parquet.read_metadata(path)
    except (ArrowException, OSError):
        return 0  # Polars will say what is wrong with it
    return sum(
        metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups)
    )


def _fits(size: tuple[int, int]) -> bool:
    free = processes.available_memory()
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
        f"or more; {(processes.available_memory() or 0) / 1e9:,.1f} GB are free. Split the file, "
        "take a larger machine, or let load() return a LazyFrame that selects what you need."
    )
