"""Rows with a key that occurs in other blocks too: the driver finds them, as no worker can."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pandera.polars as pa
import polars as pl

from rung_ops.batch.predict import PredictionError
from rung_ops.ray.blocks import Block

AT_ONCE = 2_000_000  # rows whose keys are held in memory at the same time


def keys_of(schema: pa.DataFrameSchema) -> dict[str, tuple[str, list[str]]]:
    """Name the rules that say something is unique: by its columns, the words and the columns."""
    keys = {", ".join(schema.unique): ("must be unique", schema.unique)} if schema.unique else {}
    for name, column in schema.columns.items():
        if column.unique:
            keys[name] = ("must satisfy field_uniqueness", [name])
    return keys


def without_keys(schema: pa.DataFrameSchema) -> pa.DataFrameSchema:
    """Leave out of a schema what only the whole file can show."""
    single = [name for name, column in schema.columns.items() if column.unique]
    for name in single:
        schema = schema.update_column(name, unique=False)
    schema.unique = None
    return schema


def mark(blocks: list[Block], schema: pa.DataFrameSchema) -> list[Block]:
    """Tell each block which of its rows have a key that its file holds more than once.

    Only the columns of the key are read. Where there are more than AT_ONCE rows it is done in
    several passes, each with its share of the keys, so that the memory stays the same.

    Raises:
        PredictionError: a column of a key is missing or cannot be read as Row says.
    """
    keys = keys_of(schema)
    if not keys:
        return blocks
    marked = []
    for path in dict.fromkeys(block.path for block in blocks):
        of_file = [block for block in blocks if block.path == path]
        height = sum(block.height for block in of_file)
        found = {
            name: _repeated(Path(path), height, columns, schema, of_file[0].source)
            for name, (_, columns) in keys.items()
        }
        for block in of_file:
            within = {
                name: [int(row) for row in rows[slice(*_bounds(rows, block))]]
                for name, rows in found.items()
            }
            marked.append(replace(block, repeated={k: v for k, v in within.items() if v}))
    return marked


def _bounds(rows: np.ndarray, block: Block) -> tuple[int, int]:
    first, last = np.searchsorted(rows, [block.first, block.first + block.height])
    return int(first), int(last)


def _repeated(
    path: Path, height: int, columns: list[str], schema: pa.DataFrameSchema, source: str
) -> np.ndarray:
    passes = -(-height // AT_ONCE)
    try:
        parts = list(islice(_passes(path, columns, schema, passes), passes))
    except pl.exceptions.PolarsError as error:
        reason = str(error).strip().splitlines()[0]
        raise PredictionError(
            f"{source}: the key {', '.join(columns)} cannot be read: {reason}"
        ) from error
    return np.sort(np.concatenate(parts)) if parts else np.empty(0, dtype=np.int64)


def _passes(
    path: Path, columns: list[str], schema: pa.DataFrameSchema, passes: int
) -> Iterator[np.ndarray]:
    typed = [pl.col(name).cast(schema.columns[name].dtype.type, strict=False) for name in columns]
    key = pl.struct(columns)
    for number in range(passes):
        rows = pl.scan_parquet(path).select(typed).with_row_index("_row")
        if passes > 1:
            rows = rows.filter(key.hash() % passes == number)
        held = rows.collect(engine="streaming")
        yield held.filter(key.is_duplicated())["_row"].to_numpy().astype(np.int64)
