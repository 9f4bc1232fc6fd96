"""Rows of the sample and of data/ingested, one file for each raw file, checked against Row."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from rung_ops import contract
from rung_ops.contract.raw_file import read, refuse_large_frame
from rung_ops.contract.row_checks import Problem, inspect_labelled, labelled
from rung_ops.data import blocks
from rung_ops.data.inspection import Inspection, is_by_row, repeated
from rung_ops.errors import StageError
from rung_ops.features.point_in_time import join
from rung_ops.features.sources import Events
from rung_ops.project import current
from rung_ops.project.paths import raw_files, raw_files_in, shown


def sample_rows() -> pl.DataFrame:
    """Read the first file of the sample as rows of Row with the entity features, for tests.

    What breaks Row is null in it, and rows without an outcome are left out. Where there is no sample,
    it is the first raw file.

    Raises:
        StageError: there is no raw file, or it lacks rows or columns.
    """
    sample = raw_files_in(current().sample)
    paths = sample or raw_files()
    if not paths:
        raise StageError("There is no data: put a file into data/sample.")
    rows, problems, _ = inspect_labelled(read(paths[0]), shown(paths[0]))
    if not rows.height:
        nothing = f"{shown(paths[0])}: no row has `{contract.TARGET}`"
        raise StageError(str(problems[0]) if problems else nothing)
    return join(rows, events=Events(current().root, bool(sample)))


def ingested_path(raw: Path) -> Path:
    """Return the path in data/ingested at which the rows of a raw file are written."""
    return current().ingested / raw.relative_to(current().root / "data").with_name(
        f"{raw.name}.parquet"
    )


SOURCE = "name of the file"  # no name of a column in Row

Files = dict[str, pl.LazyFrame]  # by name: keys of rows, and their numbers in the file


class CheckedRows:
    """All ingested rows that have an outcome, checked against Row of dataset.py.

    Attributes:
        problems: after the last of blocks().
        counts: number of these rows, by file.
        left_out: number of rows without an outcome, by file that has some.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.counts: dict[str, int] = {}
        self.left_out: dict[str, int] = {}

    def blocks(self) -> Iterator[pl.DataFrame]:
        """Return the rows of all files in the types of Row; none after one that breaks it."""
        schema, is_broken = contract.Row.to_schema(), False
        key, files = schema.unique or [], dict[str, pl.LazyFrame]()
        for path in sorted(current().ingested.rglob("*.parquet")):
            raw = path.relative_to(current().ingested).with_suffix("")
            source, rows = shown(current().root / "data" / raw), blocks.scan(path)
            if not is_by_row(rows, schema):
                refuse_large_frame(rows, path)
            inspection = Inspection(rows, schema, source)
            self.counts[source] = without = 0
            for block in inspection.blocks():
                self.counts[source] += block.typed.height
                without += block.rows.height - int(labelled(block.rows).sum())
                is_broken |= bool(block.problems)
                if not is_broken:
                    yield block.typed
            self.problems += inspection.problems
            if not self.problems and self.counts[source]:
                files[source] = inspection.keys(key)
            if without:
                self.left_out[source] = without
        self.problems = self.problems or keys_in_two_files(files, key)


def keys_in_two_files(files: Files, key: list[str]) -> list[Problem]:
    """Find the rows whose `key`, if Row has one, another file has too."""
    if not key or len(files) < 2:
        return []
    named = (keys.with_columns(pl.lit(source).alias(SOURCE)) for source, keys in files.items())
    twice = repeated(pl.concat(named), key)
    return [
        Problem(
            str(source),
            ", ".join(key),
            f"must be unique over all files, and these rows are in {others} too",
            tuple(group[blocks.NUMBER].to_list()),
        )
        for (source,), group in twice.group_by(SOURCE, maintain_order=True)
        if (others := ", ".join(sorted(set(twice[SOURCE]) - {source})))
    ]
