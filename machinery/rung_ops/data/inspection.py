"""Rows of a source that are judged by a schema block by block.

What fits into one block is judged whole. So is what cannot be judged row by row: see is_by_row().
"""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

import pandera.polars as pa
import polars as pl
import polars.selectors as cs

from rung_ops import contract
from rung_ops.contract.row_checks import Problem, has_outcome, inspect_labelled, rules
from rung_ops.data.blocks import NUMBER, height, in_blocks
from rung_ops.model.columns import time_zone

MAX_HASHES = 25_000_000  # keys whose hashes, of 8 bytes, are in memory at the same time


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
        all_blocks = chain([first_block], blocks)
        del first_block
        for rows in all_blocks:
            begin, end = end, end + rows.height
            typed, problems, _ = inspect_labelled(rows, self.source, schema)
            for problem in repeated_rows:
                within = [row - begin for row in problem.rows if begin < row <= end]
                problems += [replace(problem, rows=tuple(within))] if within else []
            numbers = {row + begin for problem in problems for row in problem.rows}
            numbered = rows.with_row_index(NUMBER, 1 + begin)
            broken.append(numbered.filter(pl.col(NUMBER).is_in(numbers)))
            yield Block(rows, typed, problems)
            del rows, numbered, typed  # before the next block is read
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
