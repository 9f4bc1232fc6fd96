"""Write predictions: all of them or none, and one run at a time."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from rung_ops.batch.predict import PredictionError
from rung_ops.project.paths import shown
from rung_ops.system import atomic, locks

PART = "part-*.parquet"


@contextlib.contextmanager
def unfinished(output: Path) -> Iterator[Path]:
    """Give a folder beside the output for parts; what a run that was killed left there goes.

    Raises:
        PredictionError: another run writes the same output, or the output is something else.
    """
    if output.is_dir() and any(not one.match(PART) for one in output.iterdir()):
        raise PredictionError(
            f"{shown(output)}: holds other things than predictions; name another folder"
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    lock = locks.try_lock(output.parent / f".{output.name}.lock")
    if lock is None:
        raise PredictionError(f"{shown(output)}: another run is writing it; wait for its end")
    try:
        for left in output.parent.glob(f".{output.name}.*.unfinished"):
            shutil.rmtree(left)
        # A name of its own: workers of a run that was killed may write for another second.
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


def finish(folder: Path, output: Path) -> None:
    """Put the parts in the output's place: as one file where its name ends in .parquet or .csv.

    Raises:
        PredictionError: the files that were scored do not have the same columns.
        OSError: it cannot be written; the previous output stays.
    """
    if output.suffix in (".parquet", ".csv"):
        whole = folder / "whole"
        rows = pl.scan_parquet(parts(folder))
        try:
            rows.sink_csv(whole) if output.suffix == ".csv" else rows.sink_parquet(whole)
        except pl.exceptions.SchemaError as error:
            raise PredictionError(
                f"{shown(output)}: the files do not have the same columns ({error}); name a folder "
                "as output, and each keeps its own"
            ) from error
        atomic.put(whole, output)
        return
    done = folder / "done"
    done.mkdir()
    for part in parts(folder):
        part.rename(done / part.name)
    if output.exists():
        output.rename(folder / "before")
    done.rename(output)
