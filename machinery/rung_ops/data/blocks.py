"""Rows in blocks: of a file of any size, a block at a time is in memory.

What fits into one block is read and written whole.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

from rung_ops.errors import SettingsError
from rung_ops.system import files
from rung_ops.system.printable import printable

# Of a block in memory, unless the environment variable says how many megabytes; a stage holds several
# copies of it. A variable, as memory is the machine's, not the model's.
BYTES, BLOCK_MB = 64_000_000, "RUNG_BLOCK_MB"
MEASURED = 1_000  # rows that the width of a row is measured on
NUMBER = "number of the row"  # no name of a column in Row


def scan(path: Path) -> pl.LazyFrame:
    """Read a Parquet file when its rows are needed; its name is no pattern."""
    return pl.scan_parquet(path, hive_partitioning=False, glob=False)


def height(rows: pl.LazyFrame) -> int:
    """Count rows."""
    return int(rows.select(pl.len()).collect(engine="streaming").item())


def block_bytes() -> int:
    """Return how many bytes the rows of a block may take."""
    given = os.environ.get(BLOCK_MB, "")
    if not given:
        return BYTES
    if not given.isdecimal() or not int(given):
        raise SettingsError(
            f"{BLOCK_MB} is `{printable(given)}`; expected a whole number of megabytes, such as 32"
        )
    return int(given) * 1_000_000


def block_rows(rows: pl.LazyFrame) -> int:
    """Return how many rows a block has."""
    first = rows.head(MEASURED).collect()
    return max(1, block_bytes() * first.height // max(int(first.estimated_size()), 1))


def is_one(rows: pl.LazyFrame) -> bool:
    """Tell whether the rows make a single block."""
    return height(rows) <= block_rows(rows)


def in_blocks(rows: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """Read rows of a file or a frame block by block, in their order; at least one block, if empty."""
    for part in parts(rows, block_rows(rows)):
        yield part.collect()


def parts(rows: pl.LazyFrame, size: int) -> Iterator[pl.LazyFrame]:
    """Cut rows into parts of a size; one part, if there are no more, even if it is empty.

    Rows of a file that are not filtered yet are cut without reading those before.
    """
    all_rows = height(rows)
    if all_rows <= size:
        yield rows
        return
    for first in range(0, all_rows, size):
        yield rows.slice(first, size)


@contextmanager
def streamed(blocks: Iterable[pl.DataFrame]) -> Iterator[pl.LazyFrame]:
    """Lend blocks, of which there is one at least, as a frame that can be written as a stream, once.

    An error in a block is raised as it is: Polars, before version 2, makes it one of its own.
    """
    rest = joined(blocks)
    first = next(rest)
    schema, rest = first.schema, chain([first], rest)
    del first  # which would be in memory until the last block is written
    errors: list[Exception] = []

    def source(*_: object) -> Iterator[pl.DataFrame]:
        try:
            yield from rest
        except Exception as error:
            errors.append(error)
            raise

    try:
        yield register_io_source(source, schema=schema)
    except Exception:
        if errors:
            raise errors[0] from None
        raise


def joined(blocks: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Join small blocks, such as those of many small files."""
    held: list[pl.DataFrame] = []
    size, most = 0.0, block_bytes()
    for block in blocks:
        held.append(block)
        size += block.estimated_size()
        if size > most // 2:
            yield pl.concat(held)
            held, size = [], 0.0
    if held:
        yield pl.concat(held)


def write(blocks: Iterable[pl.DataFrame], path: Path) -> None:
    """Write blocks as a Parquet file, whole or not at all."""
    with files.opened(path) as draft, streamed(blocks) as rows:
        rows.sink_parquet(draft)


def take(rows: pl.LazyFrame, numbers: pl.Series, path: Path) -> None:
    """Write the rows with these numbers, counted from 0, in their order, whole or not at all."""
    with files.draft_folder(path.parent) as folder:
        write(_taken(rows, numbers, folder), path)


def pick(rows: pl.LazyFrame, numbers: pl.Series) -> pl.DataFrame:
    """Read the rows with these numbers, which ascend."""
    return pl.concat(_taken(rows, numbers, Path()))


def _taken(rows: pl.LazyFrame, numbers: pl.Series, folder: Path) -> Iterator[pl.DataFrame]:
    """Take rows by number; those that change their order pass through parts in a folder."""
    size = block_rows(rows)
    if height(rows) <= size:
        yield rows.collect()[numbers]
        return
    is_sorted = numbers.is_sorted()
    places = None if is_sorted else numbers.arg_sort()
    ascending = numbers if places is None else numbers.gather(places)
    first = begin = 0
    for block in in_blocks(rows):
        first, before = first + block.height, first
        end = int(ascending.search_sorted(first))  # type: ignore[arg-type]
        part = block[ascending[begin:end] - before]
        if places is None:
            yield part
        else:
            placed = part.with_columns(places[begin:end].alias(NUMBER))
            for (bucket,), held in placed.group_by(pl.col(NUMBER) // size):
                held.write_parquet(folder / f"{bucket}-{before}.parquet")
        begin = end
    for bucket in () if is_sorted else range(-(-len(numbers) // size)):
        parts = [pl.read_parquet(file) for file in folder.glob(f"{bucket}-*.parquet")]
        yield pl.concat(parts).sort(NUMBER).drop(NUMBER)
