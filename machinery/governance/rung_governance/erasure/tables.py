"""Tables on this machine that hold a person's rows, and taking the rows out of them."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from rung_governance.erasure.subject import Subject
from rung_ops.contract import raw_file
from rung_ops.prediction_log import sealed
from rung_ops.system import atomic

SUFFIXES = (".parquet", ".csv")
# Folders of a project without rows of people, or with a search of their own (versions).
PASSED_OVER = {".git", ".venv", ".dvc", ".cache", "vendor", "node_modules", "__pycache__", ".keys"}


@dataclass(frozen=True)
class FileRows:
    """A file with rows of the person.

    Attributes:
        path: of the file.
        rows: of the person, in it.
    """

    path: Path
    rows: int


class UnreadableTable(Exception):
    """A file cannot be read as a table; the message says why."""


def files(folder: Path) -> Iterator[Path]:
    """List the tables in a folder and below, in a fixed order."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(each for each in folders if each not in PASSED_OVER)
        yield from (Path(parent, name) for name in sorted(names) if name.endswith(SUFFIXES))


def read(path: Path, kind: str = "") -> pl.DataFrame:
    """Read a table, of CSV as text alone: what is not taken out stays as it was written.

    Args:
        path: of the file.
        kind: the suffix that says how to read it, where the file has another.

    Raises:
        UnreadableTable: it cannot be read.
    """
    try:
        if (kind or path.suffix) == ".csv":
            return pl.read_csv(path, infer_schema=False)
        return sealed.read(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UnreadableTable(str(error).strip().splitlines()[0]) from error


def count(path: Path, subject: Subject, kind: str = "") -> int:
    """Count the rows of a person in a table.

    Raises:
        UnreadableTable: it cannot be read.
    """
    return int(subject.mask(read(path, kind)).sum())


def take_out(path: Path, subject: Subject) -> int:
    """Rewrite a table without the rows of a person; return how many there were.

    The file keeps its name, its columns and its mode. A reader finds the old one or the new one.

    Raises:
        UnreadableTable: it cannot be read.
        OSError: it cannot be written; it stays as it was.
    """
    frame = read(path)
    mask = subject.mask(frame)
    if not mask.any():
        return 0
    mode, was_sealed = stat.S_IMODE(path.stat().st_mode), sealed.is_sealed(path)
    of_rung = raw_file.is_row_file(path)
    kept = frame.filter(~mask)
    with atomic.writing(path, writer="erase", private=True) as draft:
        if path.suffix == ".csv":
            kept.write_csv(draft)
        elif was_sealed:
            sealed.write(kept, draft)
        elif of_rung:
            raw_file.write_rows(kept, draft)
        else:
            kept.write_parquet(draft)
        draft.chmod(mode)
    return int(mask.sum())
