"""The sample as rows, and the files of data/ingested: one for each raw file."""

from pathlib import Path

import polars as pl

from rung_ops import contract
from rung_ops.contract.raw_file import read
from rung_ops.contract.row_checks import inspect
from rung_ops.errors import StageError
from rung_ops.features.point_in_time import join
from rung_ops.project import current
from rung_ops.project.paths import raw_files, raw_files_in, shown


def sample_rows() -> pl.DataFrame:
    """Read the first file of the sample as rows of Row with the entity features, for tests.

    What breaks Row is null in it. Where there is no sample, it is the first raw file.

    Raises:
        StageError: there is no raw file, or it lacks rows or columns.
    """
    paths = raw_files_in(current().sample) or raw_files()
    if not paths:
        raise StageError("There is no data: put a file into data/sample.")
    rows, problems = inspect(read(paths[0]), contract.Row.to_schema(), shown(paths[0]))
    if not rows.height:
        raise StageError(str(problems[0]))
    return join(rows)


def ingested_path(raw: Path) -> Path:
    """Return the path in data/ingested at which the rows of a raw file are written."""
    return current().ingested / raw.relative_to(current().root / "data").with_name(
        f"{raw.name}.parquet"
    )


def source_of(ingested: Path) -> str:
    """Name the raw file that an ingested file was read from."""
    return shown(current().root / "data" / ingested.relative_to(current().ingested).with_suffix(""))
