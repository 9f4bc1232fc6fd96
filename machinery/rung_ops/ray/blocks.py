"""Split a file or a folder of rows into blocks for workers."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pandera.polars as pa
import polars as pl
import pyarrow.parquet as pq

from rung_ops.batch.predict import PredictionError
from rung_ops.contract import raw_file
from rung_ops.data.blocks import keys_of, repeated
from rung_ops.project.paths import raw_files_in, shown


class Block(msgspec.Struct, frozen=True):
    """Consecutive row groups of a Parquet file."""

    number: int  # over all files, from 0
    path: str
    source: str  # the user's file, for messages
    first: int  # row of the file, from 0
    height: int
    # Rows of the file, from 0, whose key occurs more than once, by rule.
    repeated: dict[str, list[int]]


def files_of(source: Path, scratch: Path, rows: int) -> list[tuple[Path, str]]:
    """Read the files to score with load(), and write each as Parquet for the workers.

    `scratch` must be reached by all machines of a cluster; `rows` is the smallest unit that a worker
    reads. Each file is returned with the name of its source.
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
    """Split files into blocks of complete row groups, at least `rows` large except the last of a file."""
    blocks: list[Block] = []
    for path, source in files:
        before = len(blocks)
        for first, height in _spans(path, rows):
            blocks.append(Block(len(blocks), str(path), source, first, height, {}))
        if len(blocks) == before:
            raise PredictionError(f"{source}: holds no rows")
    return blocks


def _spans(path: Path, rows: int) -> Iterator[tuple[int, int]]:
    about = pq.read_metadata(path)
    first = height = 0
    for group in range(about.num_row_groups):
        height += about.row_group(group).num_rows
        if height >= rows:
            yield first, height
            first, height = first + height, 0
    if height:
        yield first, height


def mark(blocks: list[Block], schema: pa.DataFrameSchema) -> list[Block]:
    """Set `repeated` of each block: its rows whose key occurs more than once in the file.

    Reads only the columns of the keys.
    """
    keys = keys_of(schema)
    if not keys:
        return blocks
    marked = []
    for path in dict.fromkeys(block.path for block in blocks):
        of_file = [block for block in blocks if block.path == path]
        twice = {
            name: _repeated(Path(path), columns, schema, of_file[0].source)
            for name, (_, columns) in keys.items()
        }
        for block in of_file:
            ends = [block.first, block.first + block.height]
            within = {
                name: rows[slice(*np.searchsorted(rows, ends))].tolist()
                for name, rows in twice.items()
            }
            held = {name: rows for name, rows in within.items() if rows}
            marked.append(msgspec.structs.replace(block, repeated=held))
    return marked


def _repeated(
    path: Path, columns: list[str], schema: pa.DataFrameSchema, source: str
) -> np.ndarray:
    typed = [pl.col(name).cast(schema.columns[name].dtype.type, strict=False) for name in columns]
    try:
        rows = repeated(pl.scan_parquet(path).select(typed).with_row_index("_row"), columns)
    except pl.exceptions.PolarsError as error:
        reason = str(error).strip().splitlines()[0]
        raise PredictionError(
            f"{source}: the key {', '.join(columns)} cannot be read: {reason}"
        ) from error
    return rows["_row"].to_numpy()
