"""A file or a folder of rows as blocks that a worker reads by itself."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl
import pyarrow
import pyarrow.parquet as pq

from rung_ops.batch import predict
from rung_ops.batch.predict import Unusable
from rung_ops.project.paths import shown


@dataclass(frozen=True)
class Block:
    """Whole row groups of one Parquet file.

    Attributes:
        number: of the block, over all files, from 0.
        path: the Parquet file.
        source: the file that the user named, for the messages.
        first: row of the file with which the block begins, from 0.
        height: number of rows.
        repeated: by rule, rows of the file, from 0, whose key is there more than once.
    """

    number: int
    path: str
    source: str
    first: int
    height: int
    repeated: dict[str, list[int]]

    def text(self) -> str:
        """Write it down for a worker."""
        return json.dumps(asdict(self))


def files_of(place: Path, scratch: Path) -> list[tuple[Path, str]]:
    """Find the Parquet files to score, each with the name of what it came from.

    A CSV is written as Parquet first, a piece at a time, as nobody can begin in its middle.

    Args:
        place: a file, or a folder of them.
        scratch: a folder for what is written.

    Raises:
        Unusable: there are none, or one cannot be read.
    """
    found = [place]
    if place.is_dir():
        found = sorted(path for path in place.rglob("*") if path.suffix in predict.READERS)
        if not found:
            raise Unusable(f"{shown(place)}: holds no file that ends in .parquet or .csv")
    files = []
    for number, path in enumerate(found):
        if path.suffix not in predict.READERS:
            raise Unusable(f"{shown(path)}: give a file that ends in .parquet or .csv, or a folder")
        if path.suffix == ".csv":
            written = scratch / f"{number}.parquet"
            try:
                pl.scan_csv(path, try_parse_dates=True).sink_parquet(written)
            except (OSError, pl.exceptions.PolarsError) as error:
                reason = str(error).strip().splitlines()[0]
                raise Unusable(f"{shown(path)}: cannot be read: {reason}") from error
            files.append((written, shown(path)))
        else:
            files.append((path.resolve(), shown(path)))
    return files


def blocks_of(files: list[tuple[Path, str]], rows: int) -> list[Block]:
    """Cut files into blocks of whole row groups.

    Args:
        files: from files_of().
        rows: a block is closed as soon as it has as many.

    Raises:
        Unusable: a file is no Parquet, or has no rows.
    """
    blocks: list[Block] = []
    for path, source in files:
        before = len(blocks)
        for first, height in _spans(path, source, rows):
            blocks.append(Block(len(blocks), str(path), source, first, height, {}))
        if len(blocks) == before:
            columns = ", ".join(predict.schema().columns)
            raise Unusable(f"{source}: column `{columns}` holds no rows")
    return blocks


def _spans(path: Path, source: str, rows: int) -> Iterator[tuple[int, int]]:
    try:
        about = pq.read_metadata(path)
    except (OSError, pyarrow.ArrowException) as error:
        reason = str(error).strip().splitlines()[0]
        raise Unusable(f"{source}: cannot be read: {reason}") from error
    first = height = 0
    for group in range(about.num_row_groups):
        height += about.row_group(group).num_rows
        if height >= rows:
            yield first, height
            first, height = first + height, 0
    if height:
        yield first, height
