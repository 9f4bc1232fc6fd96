"""Rows of the sample and of data/ingested, one file for each raw file, checked against Row."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from rung_ops import contract
from rung_ops.contract.raw_file import read, refuse_large_frame
from rung_ops.contract.row_checks import Problem, inspect_labelled, labelled
from rung_ops.errors import StageError
from rung_ops.features.point_in_time import join
from rung_ops.project import current
from rung_ops.project.paths import raw_files, raw_files_in, shown


def sample_rows() -> pl.DataFrame:
    """Read the first file of the sample as rows of Row with the entity features, for tests.

    What breaks Row is null in it, and rows without an outcome are left out. Where there is no sample,
    it is the first raw file.

    Raises:
        StageError: there is no raw file, or it lacks rows or columns.
    """
    paths = raw_files_in(current().sample) or raw_files()
    if not paths:
        raise StageError("There is no data: put a file into data/sample.")
    rows, problems, _ = inspect_labelled(read(paths[0]), shown(paths[0]))
    if not rows.height:
        nothing = f"{shown(paths[0])}: no row has `{contract.TARGET}`"
        raise StageError(str(problems[0]) if problems else nothing)
    return join(rows)


def ingested_path(raw: Path) -> Path:
    """Return the path in data/ingested at which the rows of a raw file are written."""
    return current().ingested / raw.relative_to(current().root / "data").with_name(
        f"{raw.name}.parquet"
    )


def source_of(ingested: Path) -> str:
    """Name the raw file that an ingested file was read from."""
    return shown(current().root / "data" / ingested.relative_to(current().ingested).with_suffix(""))


class CheckedRows(NamedTuple):
    """All ingested rows that have an outcome.

    Attributes:
        rows: of all files, with the columns of Row.
        problems: found in them.
        counts: number of these rows, by file.
        left_out: number of rows without an outcome, by file; files without such rows are not in it.
    """

    rows: pl.DataFrame
    problems: list[Problem]
    counts: dict[str, int]
    left_out: dict[str, int]


def check_rows() -> CheckedRows:
    """Check all ingested files together against Row of dataset.py.

    Raises:
        UnreadableFileError: the rows of a file do not fit into memory.
    """
    key = contract.Row.to_schema().unique or []
    frames: list[pl.DataFrame] = []
    numbers: list[list[int]] = []
    problems: list[Problem] = []
    counts: dict[str, int] = {}
    left_out: dict[str, int] = {}
    for path in sorted(current().ingested.rglob("*.parquet")):
        source = source_of(path)
        rows = pl.scan_parquet(path, hive_partitioning=False, glob=False)
        refuse_large_frame(rows, path)
        frame = rows.collect()
        typed, inspection, kept = inspect_labelled(frame, source)
        frames.append(typed)
        numbers.append(kept)
        problems += inspection
        counts[source] = typed.height
        if without := frame.height - int(labelled(frame).sum()):
            left_out[source] = without
    if not problems:
        problems = keys_in_two_files(frames, numbers, list(counts), key)
    return CheckedRows(pl.concat(frames), problems, counts, left_out)


def keys_in_two_files(
    frames: list[pl.DataFrame],
    numbers: Sequence[Sequence[int]],
    sources: list[str],
    key: list[str],
) -> list[Problem]:
    """Find the rows of each file whose key another file has too.

    Args:
        frames: rows of each file, with the columns of the key in the types of Row.
        numbers: of these rows in their file.
        sources: the files' names, for the messages.
        key: what Row says is unique; nothing is found where it is empty.
    """
    if not key:
        return []
    keys = pl.concat(
        frame.select(key).with_columns(pl.Series("row", rows, pl.Int64), source=pl.lit(source))
        for frame, rows, source in zip(frames, numbers, sources, strict=True)
    )
    twice = keys.filter(pl.struct(key).is_duplicated())
    return [
        Problem(
            str(source),
            ", ".join(key),
            f"must be unique over all files, and these rows are in {others} too",
            tuple(group["row"].to_list()),
        )
        for (source,), group in twice.group_by("source", maintain_order=True)
        if (others := ", ".join(sorted(set(twice["source"]) - {source})))
    ]
