"""Rows in blocks: of a file of any size, a block at a time is in memory.

What fits into one block is read, judged and written whole. So is what cannot be judged row by row: see
is_by_row().
"""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import pandera.polars as pa
import polars as pl
import polars.selectors as cs
from polars.io.plugins import register_io_source

from rung_ops import contract
from rung_ops.contract.row_checks import Problem, has_outcome, inspect_labelled, rules
from rung_ops.errors import SettingsError
from rung_ops.model.columns import time_zone
from rung_ops.system import files
from rung_ops.system.printable import printable

# Of a block in memory, unless the environment variable says how many megabytes; a stage holds several
# copies of it. A variable, as memory is the machine's, not the model's.
BYTES, BLOCK_MB = 128_000_000, "RUNG_BLOCK_MB"
MEASURED = 1_000  # rows that the width of a row is measured on
MAX_HASHES = 25_000_000  # keys whose hashes, of 8 bytes, are in memory at the same time
NUMBER = "number of the row"  # no name of a column in Row


def scan(path: Path) -> pl.LazyFrame:
    """Read a Parquet file when its rows are needed; its name is no pattern."""
    return pl.scan_parquet(path, hive_partitioning=False, glob=False)


def height(rows: pl.LazyFrame) -> int:
    """Count rows."""
    return int(rows.select(pl.len()).collect().item())


def block_bytes() -> int:
    """Return how many bytes the rows of a block may take."""
    given = os.environ.get(BLOCK_MB, "")
    if not given:
        return BYTES
    if not given.isdecimal() or not int(given):
        raise SettingsError(
            f"{BLOCK_MB} is `{printable(given)}`; expected a whole number of megabytes, such as 64"
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
    size, all_rows = block_rows(rows), height(rows)
    if all_rows <= size:
        yield rows.collect()
        return
    for first in range(0, all_rows, size):
        yield rows.slice(first, size).collect()


@contextmanager
def streamed(blocks: Iterable[pl.DataFrame]) -> Iterator[pl.LazyFrame]:
    """Lend blocks, of which there is one at least, as a frame that can be written as a stream, once.

    An error in a block is raised as it is: Polars, before version 2, makes it one of its own.
    """
    rest = joined(blocks)
    first = next(rest)
    errors: list[Exception] = []

    def source(*_: object) -> Iterator[pl.DataFrame]:
        try:
            yield first
            yield from rest
        except Exception as error:
            errors.append(error)
            raise

    try:
        yield register_io_source(source, schema=first.schema)
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
    with tempfile.TemporaryDirectory(prefix=".", dir=path.parent) as folder:
        write(_taken(rows, numbers, Path(folder)), path)


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


def keys_of(schema: pa.DataFrameSchema) -> dict[str, tuple[str, list[str]]]:
    """Return the uniqueness rules of a schema: message and columns by name."""
    keys = {", ".join(schema.unique): ("must be unique", schema.unique)} if schema.unique else {}
    for name, column in schema.columns.items():
        if column.unique:
            keys[name] = ("must satisfy field_uniqueness", [name])
    return keys


def without_keys(schema: pa.DataFrameSchema) -> pa.DataFrameSchema:
    """Return a schema without the uniqueness rules, which only apply to a complete file."""
    schema = deepcopy(schema)  # pandera keeps that of Row
    for name in [name for name, column in schema.columns.items() if column.unique]:
        schema = schema.update_column(name, unique=False)
    schema.unique = None
    return schema


def repeated(rows: pl.LazyFrame, key: list[str]) -> pl.DataFrame:
    """Return the rows whose key occurs more than once.

    Reads the hashes of the keys, in several passes where there are many.
    """
    hashed, passes = pl.struct(key).hash(), -(-height(rows) // MAX_HASHES)
    twice = []
    for number in range(passes):
        share = rows.select(hashed.alias(NUMBER)).filter(pl.col(NUMBER) % passes == number)
        hashes = share.collect(engine="streaming").to_series().sort()
        twice.append(hashes.filter(hashes == hashes.shift()).unique())
    suspected = pl.concat([pl.Series(dtype=pl.UInt64), *twice])
    if suspected.is_empty():
        return rows.head(0).collect()
    same = rows.filter(hashed.is_in(suspected.implode())).collect(engine="streaming")
    return same.filter(pl.struct(key).is_duplicated())


def is_by_row(rows: pl.LazyFrame, row: pa.DataFrameSchema) -> bool:
    """Tell whether each of the rows can be judged without the others, except for its keys.

    Not with checks of a project's own, which may look at all rows; nor where a column is missing, or
    holds times as texts, whose format Polars infers from all of them, or with an offset.
    """
    schema = rows.collect_schema()
    return not row.checks and all(
        name in schema
        and not rules(column)[1]
        and not (column.dtype.type.is_temporal() and schema[name] == pl.String)
        and bool(time_zone(schema[name])) <= bool(time_zone(column.dtype.type))
        for name, column in row.columns.items()
    )


class Block(NamedTuple):
    """Rows that are judged at the same time; their problems count them from 1."""

    rows: pl.DataFrame  # as read
    typed: pl.DataFrame  # with the types of Row, without the rows that have no outcome
    problems: list[Problem]


class Inspection:
    """Rows of a source, judged by a schema block by block.

    Attributes:
        problems: after the last block, those that inspect_labelled() finds in all rows at once.
    """

    def __init__(self, rows: pl.LazyFrame, schema: pa.DataFrameSchema, source: str) -> None:
        self.rows, self.schema, self.source = rows, schema, source
        self.problems: list[Problem] = []

    def blocks(self) -> Iterator[Block]:
        """Judge each block."""
        blocks = in_blocks(self.rows) if is_by_row(self.rows, self.schema) else None
        first_block = next(blocks) if blocks else self.rows.collect()
        if blocks is None or first_block.height == height(self.rows):
            typed, self.problems, _ = inspect_labelled(first_block, self.source, self.schema)
            yield Block(first_block, typed, self.problems)
            return
        schema = without_keys(self.schema)
        repeated_rows = [
            Problem(self.source, name, what, tuple(repeated(self._compared(key), key)[NUMBER]))
            for name, (what, key) in keys_of(self.schema).items()
        ]
        broken, end = [], 0
        for rows in chain([first_block], blocks):
            begin, end = end, end + rows.height
            typed, problems, _ = inspect_labelled(rows, self.source, schema)
            for problem in repeated_rows:
                within = [row - begin for row in problem.rows if begin < row <= end]
                problems += [replace(problem, rows=tuple(within))] if within else []
            numbers = {row + begin for problem in problems for row in problem.rows}
            numbered = rows.with_row_index(NUMBER, 1 + begin)
            broken.append(numbered.filter(pl.col(NUMBER).is_in(numbers)))
            yield Block(rows, typed, problems)
        # What is wrong is said of these rows alone, in the order that a whole file has.
        only = pl.concat(broken)
        if only.height:
            _, problems, _ = inspect_labelled(only, self.source, self.schema)
            numbers_ = only[NUMBER]
            self.problems = [
                replace(each, rows=tuple(numbers_[row - 1] for row in each.rows))
                for each in problems
            ]

    def _compared(self, key: list[str]) -> pl.LazyFrame:
        """Return keys(), in which NaN is a missing number, as inspect() has it."""
        return self.keys(key).with_columns(cs.float().fill_nan(None))

    def keys(self, key: list[str]) -> pl.LazyFrame:
        """Return the columns of a key in the types of the schema, and the number of each row."""
        rows, columns = self.rows.with_row_index(NUMBER, 1), self.rows.collect_schema()
        if contract.TARGET in columns:
            rows = rows.filter(has_outcome(columns))
        types = {name: self.schema.columns[name].dtype.type for name in key}
        return rows.select(NUMBER, *(pl.col(n).cast(t, strict=False) for n, t in types.items()))
