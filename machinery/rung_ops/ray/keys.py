"""Find rows whose key occurs more than once in a file, across blocks."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pandera.polars as pa
import polars as pl

from rung_ops.batch.predict import PredictionError
from rung_ops.ray.blocks import Block

MAX_KEYS = 2_000_000  # rows whose keys are in memory at the same time


def keys_of(schema: pa.DataFrameSchema) -> dict[str, tuple[str, list[str]]]:
    """Return the uniqueness rules of a schema: message and columns by name."""
    keys = {", ".join(schema.unique): ("must be unique", schema.unique)} if schema.unique else {}
    for name, column in schema.columns.items():
        if column.unique:
            keys[name] = ("must satisfy field_uniqueness", [name])
    return keys


def without_keys(schema: pa.DataFrameSchema) -> pa.DataFrameSchema:
    """Remove the uniqueness rules, which only apply to a complete file, from a schema."""
    single = [name for name, column in schema.columns.items() if column.unique]
    for name in single:
        schema = schema.update_column(name, unique=False)
    schema.unique = None
    return schema


def mark(blocks: list[Block], schema: pa.DataFrameSchema) -> list[Block]:
    """Set `repeated` of each block: its rows whose key occurs more than once in the file.

    Reads only the columns of the keys. More than MAX_KEYS rows are read in several passes, each with
    a share of the keys, to limit memory.

    Raises:
        PredictionError: a column of a key is missing or has another type than in Row.
    """
    keys = keys_of(schema)
    if not keys:
        return blocks
    marked = []
    for path in dict.fromkeys(block.path for block in blocks):
        of_file = [block for block in blocks if block.path == path]
        height = sum(block.height for block in of_file)
        repeated = {
            name: _repeated(Path(path), height, columns, schema, of_file[0].source)
            for name, (_, columns) in keys.items()
        }
        for block in of_file:
            within = {
                name: [int(row) for row in rows[slice(*_bounds(rows, block))]]
                for name, rows in repeated.items()
            }
            marked.append(replace(block, repeated={k: v for k, v in within.items() if v}))
    return marked


def _bounds(rows: np.ndarray, block: Block) -> tuple[int, int]:
    first, last = np.searchsorted(rows, [block.first, block.first + block.height])
    return int(first), int(last)


def _repeated(
    path: Path, height: int, columns: list[str], schema: pa.DataFrameSchema, source: str
) -> np.ndarray:
    passes = -(-height // MAX_KEYS)
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
