"""Write predictions atomically, one run at a time."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from rung_ops.batch.predict import AS_TEXT, PredictionError, refuse_other_rows
from rung_ops.project.paths import shown
from rung_ops.system import atomic, locks

PART = "part-*.parquet"


@contextlib.contextmanager
def unfinished(output: Path) -> Iterator[Path]:
    """Create a folder beside the output for parts; delete those of killed runs."""
    if output.is_dir() and any(not one.match(PART) for one in output.iterdir()):
        raise PredictionError(
            f"{shown(output)} has files other than predictions; name another folder"
        )
    refuse_other_rows(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    lock = locks.try_lock(output.parent / f".{output.name}.lock")
    if lock is None:
        raise PredictionError(f"{shown(output)}: another run is writing it; wait until it ends")
    try:
        for left in output.parent.glob(f".{output.name}.*.unfinished"):
            shutil.rmtree(left)
        # A unique name, because workers of a killed run may continue for a second.
        folder = output.parent / f".{output.name}.{secrets.token_hex(4)}.unfinished"
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def parts(folder: Path) -> list[Path]:
    """List the parts in the order of the rows."""
    return sorted(folder.glob(PART))


def joined(folder: Path, output: Path) -> Path:
    """Return the parts in a folder, joined to one file if the output ends in .parquet or .csv."""
    if output.suffix in (".parquet", ".csv"):
        joined = folder / "joined"
        rows = pl.scan_parquet(parts(folder))
        try:
            if output.suffix == ".csv":
                rows.with_columns(AS_TEXT).sink_csv(joined)
            else:
                rows.sink_parquet(joined)
        except pl.exceptions.SchemaError as error:
            raise PredictionError(
                f"{shown(output)}: the files have different columns ({error}); name a folder as "
                "output to keep them"
            ) from error
        return joined
    done = folder / "done"
    done.mkdir()
    for part in parts(folder):
        part.rename(done / part.name)
    return done


def put(done: Path, output: Path) -> None:
    """Replace the output by what joined() returned."""
    if done.is_file():
        atomic.put(done, output)
        return
    if output.exists():
        output.rename(done.with_name("before"))
    done.rename(output)
