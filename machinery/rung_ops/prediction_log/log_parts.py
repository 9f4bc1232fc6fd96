"""The files of the prediction log: how they are named, and which of them count.

A folder holds `date=2026-01-31/WRITER.COLUMNS.FIRST-LAST.parquet`. A writer numbers its files.
Merging them gives one file with the range of their numbers; the small files are kept for a while for
processes that are reading them. So `read` skips a file whose numbers another one covers.
"""

import re
import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

KEEP_SECONDS = 120.0  # merged files are kept for processes that are reading them
STALE_SECONDS = 3600.0  # an unfinished file older than this is from a killed writer

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
    paths = sorted(day.glob("*.parquet"))
    return [part_of(path) or Part(path, path.name, path.name, 0, 0) for path in paths]


def part_of(path: Path) -> Part | None:
    """Read the name of a file; None for another kind of name."""
    if (name := NAME.fullmatch(path.name)) is None:
        return None
    return Part(path, name["writer"], name["columns"], int(name["first"]), int(name["last"]))


def delete_merged(day: Path) -> None:
    """Delete files that were merged a while ago, and unfinished files of killed writers."""
    now = time.time()
    listed = all_parts(day)
    merged = [part for part in listed if part.first < part.last]
    for part in listed:
        with suppress(FileNotFoundError):  # another process was faster
            written = [other.path.stat().st_mtime for other in merged if _covers(other, part)]
            if written and now - min(written) > KEEP_SECONDS:
                part.path.unlink()
    for path in day.glob(".*.tmp"):
        with suppress(FileNotFoundError):
            if now - path.stat().st_mtime > STALE_SECONDS:
                path.unlink()


def _covers(merged: Part, part: Part) -> bool:
    same = (merged.path.parent, *merged[1:3]) == (part.path.parent, *part[1:3])
    return same and merged != part and merged.first <= part.first and part.last <= merged.last


def uncovered(listed: Iterable[Part]) -> list[Part]:
    """Remove each file whose numbers another one of the same day, writer and columns covers."""
    by_writer: dict[tuple[Path, str, str], list[Part]] = defaultdict(list)
    for part in listed:
        by_writer[part.path.parent, part.writer, part.columns].append(part)
    kept = []
    for of_one in by_writer.values():
        last = -1
        for part in sorted(of_one, key=lambda each: (each.first, -each.last)):
            if part.last > last:
                kept.append(part)
                last = part.last
    return kept
