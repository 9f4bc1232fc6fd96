"""The files of the prediction log: how they are named, and which of them count.

A folder holds `date=2026-01-31/WRITER.COLUMNS.FIRST-LAST.parquet`. A writer numbers its files.
Merging them gives one file with the range of their numbers; the small files are kept for a while for
processes that are reading them. So `read` skips a file whose numbers another one covers.
"""

import re
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

# Merged files are kept for processes that are reading them: the monitor, for minutes if rows are many.
KEEP_SECONDS = 600.0
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
    old = []
    for part, merged in _with_covering(all_parts(day)):
        with suppress(FileNotFoundError):  # another process was faster
            if merged and now - min(other.path.stat().st_mtime for other in merged) > KEEP_SECONDS:
                old.append(part.path)
    for path in old:
        path.unlink(missing_ok=True)
    for path in day.glob(".*.tmp"):
        with suppress(FileNotFoundError):
            if now - path.stat().st_mtime > STALE_SECONDS:
                path.unlink()


def uncovered(listed: Iterable[Part]) -> list[Part]:
    """Remove each file whose numbers another one of the same day, writer and columns covers."""
    return [part for part, merged in _with_covering(listed) if not merged]


def _with_covering(listed: Iterable[Part]) -> Iterator[tuple[Part, list[Part]]]:
    """Yield each file with those of the same day, writer and columns that cover its numbers."""
    by_writer: dict[tuple[Path, str, str], list[Part]] = defaultdict(list)
    for part in listed:
        by_writer[part.path.parent, part.writer, part.columns].append(part)
    for of_writer in by_writer.values():
        earlier: list[Part] = []  # that may cover what comes
        for part in sorted(of_writer, key=lambda part: (part.first, -part.last)):
            earlier = [other for other in earlier if other.last >= part.first]
            yield part, [other for other in earlier if other.last >= part.last]
            earlier.append(part)
