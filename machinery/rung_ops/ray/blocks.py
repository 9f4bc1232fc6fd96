"""A file or a folder of rows as blocks that a worker reads by itself."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow
import pyarrow.parquet as pq

from rung_ops.batch import predict
from rung_ops.batch.predict import PredictionError
from rung_ops.data import ingest
from rung_ops.project.paths import raw_files_in, shown


@dataclass(frozen=True)
class Block:
    """Whole row groups of one Parquet file.

    Attributes:
        number: of the block, over all files, from 0.
        path: the Parquet file.
        source: the file that the user named, for the messages.
        first: row of the file with which the block begins, from 0.
        height: number of rows.
        repeated: by rule, rows of the file, from 0, with a key that occurs more than once.
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


def files_of(place: Path, scratch: Path, rows: int) -> list[tuple[Path, str]]:
    """Read the files to score through load(), and write each as Parquet for the workers.

    Args:
        place: a file, or a folder of them.
        scratch: a folder for what is written; each machine of a cluster must see it.
        rows: rows in a row group, the least that a worker reads.

    Returns:
        The Parquet files, each with the name of the file that it came from.

    Raises:
        PredictionError: there are no files, load() cannot read one, or the disk is full.
    """
    found = raw_files_in(place) if place.is_dir() else [place]
    if not found:
        raise PredictionError(f"{shown(place)}: there are no files to score.")
    files = []
    for number, path in enumerate(found):
        written = scratch / f"{number}.rows"
        _write(path, written, rows)
        files.append((written, shown(path)))
    return files


def _write(path: Path, target: Path, rows: int) -> None:
    if not path.is_file():
        raise PredictionError(f"{shown(path)}: there is no such file.")
    try:
        ingest.write(path, target, row_group_size=rows)
    except ingest.UnreadableFileError as error:
        raise PredictionError(str(error)) from error
    except ingest.DiskFullError as error:
        raise PredictionError(
            f"There is no room left on a disk: the rows of {shown(path)} do not fit into "
            f"{shown(target.parent)}. Make room, and run it again."
        ) from error


def blocks_of(files: list[tuple[Path, str]], rows: int) -> list[Block]:
    """Cut files into blocks of whole row groups.

    Args:
        files: from files_of().
        rows: a block is closed as soon as it has as many.

    Raises:
        PredictionError: a file is not Parquet, or has no rows.
    """
    blocks: list[Block] = []
    for path, source in files:
        before = len(blocks)
        for first, height in _spans(path, source, rows):
            blocks.append(Block(len(blocks), str(path), source, first, height, {}))
        if len(blocks) == before:
            columns = ", ".join(predict.schema().columns)
            raise PredictionError(f"{source}: column `{columns}` holds no rows")
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
