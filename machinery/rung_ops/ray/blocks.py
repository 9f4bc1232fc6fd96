"""Split a file or a folder of rows into blocks for workers."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import pandera.polars as pa
import polars as pl
import pyarrow
import pyarrow.parquet as pq

from rung_ops.batch.predict import PredictionError
from rung_ops.contract import raw_file
from rung_ops.project.paths import raw_files_in, shown


@dataclass(frozen=True)
class Block:
    """Consecutive row groups of a Parquet file.

    Attributes:
        number: of the block, over all files, from 0.
        path: of the Parquet file.
        source: the user's file, for messages.
        first: first row of the block in the file, from 0.
        height: number of rows.
        repeated: rows of the file, from 0, whose key occurs more than once, by rule.
    """

    number: int
    path: str
    source: str
    first: int
    height: int
    repeated: dict[str, list[int]]

    def text(self) -> str:
        """Serialize the block as JSON."""
        return json.dumps(asdict(self))


def files_of(source: Path, scratch: Path, rows: int) -> list[tuple[Path, str]]:
    """Read the files to score with load(), and write each as Parquet for the workers.

    Args:
        source: a file, or a folder of files.
        scratch: folder for the Parquet files; all machines of a cluster need access to it.
        rows: rows of a row group, the smallest unit that a worker reads.

    Returns:
        The Parquet files, each with the name of its source file.

    Raises:
        PredictionError: there are no files, load() cannot read one, or the disk is full.
    """
    if not (paths := sources(source)):
        raise PredictionError(f"{shown(source)}: there are no files to score.")
    files = []
    for number, path in enumerate(paths):
        written = scratch / f"{number}.rows"
        _write(path, written, rows)
        files.append((written, shown(path)))
    return files


def sources(source: Path) -> list[Path]:
    """List the files to score: the file itself, or those of a folder."""
    return raw_files_in(source) if source.is_dir() else [source]


def _write(path: Path, target: Path, rows: int) -> None:
    if not path.is_file():
        raise PredictionError(f"{shown(path)}: there is no such file.")
    try:
        raw_file.write(path, target, row_group_size=rows)
    except raw_file.UnreadableFileError as error:
        raise PredictionError(str(error)) from error
    except raw_file.DiskFullError as error:
        raise PredictionError(
            f"A disk is full: the rows of {shown(path)} do not fit into {shown(target.parent)}. "
            "Free space, and run the command again."
        ) from error


def blocks_of(files: list[tuple[Path, str]], rows: int) -> list[Block]:
    """Split files into blocks of complete row groups.

    Args:
        files: from files_of().
        rows: minimum number of rows of a block, except the last one of a file.

    Raises:
        PredictionError: a file is not Parquet, or has no rows.
    """
    blocks: list[Block] = []
    for path, source in files:
        before = len(blocks)
        for first, height in _spans(path, source, rows):
            blocks.append(Block(len(blocks), str(path), source, first, height, {}))
        if len(blocks) == before:
            raise PredictionError(f"{source}: holds no rows")
    return blocks


def _spans(path: Path, source: str, rows: int) -> Iterator[tuple[int, int]]:
    try:
        about = pq.read_metadata(path)
    except (OSError, pyarrow.ArrowException) as error:
        reason = str(error).strip().splitlines()[0]
        raise PredictionError(f"{source}: cannot be read: {reason}") from error
    first = height = 0
    for group in range(about.num_row_groups):
        height += about.row_group(group).num_rows
        if height >= rows:
            yield first, height
            first, height = first + height, 0
    if height:
        yield first, height


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
