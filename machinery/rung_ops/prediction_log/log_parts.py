"""The files of the prediction log: how they are named, and which of them count.

A folder holds `date=2026-01-31/WRITER.COLUMNS.FIRST-LAST.parquet`. A writer numbers its files.
Merging them gives one file with the range of their numbers; the small files are kept for a while for
processes that are reading them. So `read` skips a file whose numbers another one covers.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

NAME = re.compile(r"(?P<writer>\w+)\.(?P<columns>\w+)\.(?P<first>\d+)-(?P<last>\d+)\.parquet")


class Part(NamedTuple):
    """A file of the log: numbers `first` to `last` of a writer, all with the same columns."""

    path: Path
    writer: str
    columns: str
    first: int
    last: int


def parts(day: Path) -> list[Part]:
    """List the files of a day's folder, without those that another one covers."""
    return uncovered(all_parts(day))


def all_parts(day: Path) -> list[Part]:
    """List all files of a day's folder; a file with another kind of name counts as a writer."""
    listed = []
    for path in sorted(day.glob("*.parquet")):
        name = NAME.fullmatch(path.name)
        if name is None:
            listed.append(Part(path, path.name, path.name, 0, 0))
        else:
            numbers = int(name["first"]), int(name["last"])
            listed.append(Part(path, name["writer"], name["columns"], *numbers))
    return listed


def uncovered(listed: Iterable[Part]) -> list[Part]:
    """Remove each file whose numbers another one of the same writer and columns covers."""
    by_writer: dict[tuple[str, str], list[Part]] = defaultdict(list)
    for part in listed:
        by_writer[part.writer, part.columns].append(part)
    kept = []
    for of_one in by_writer.values():
        last = -1
        for part in sorted(of_one, key=lambda each: (each.first, -each.last)):
            if part.last > last:
                kept.append(part)
                last = part.last
    return kept
