"""The files of one writer of the prediction log: one per second, merged into larger ones."""

import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from rung_ops import prediction_log
from rung_ops.model.rows import schema_text
from rung_ops.prediction_log import Batch, log_parts, sealed
from rung_ops.prediction_log.log_parts import Part
from rung_ops.system import locks

# A file of this size is not merged again, and as many rows do not wait for their second to pass: a file
# is made in memory, so twice as many rows cost the service 15 MB more.
FULL_ROWS = 10_000
DAY = 86_400_000_000  # microseconds
MAX_FILES = 60  # small files are merged at this number, about once a minute
KEEP_SECONDS = 120.0  # merged files are kept for processes that are reading them
STALE_SECONDS = 3600.0  # an unfinished file older than this is from a killed writer


class Files:
    """Writes batches below a folder and limits the number of files.

    Each start of the service leaves files of FULL_ROWS rows and at most MAX_FILES smaller ones per
    day; each row is written about twice.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writer = prediction_log.writer_name()
        self._number = 0
        self._small: dict[tuple[Path, str], list[tuple[Part, int]]] = defaultdict(list)
        self._ended: list[list[tuple[Part, int]]] = []  # complete groups to merge

    def write(self, frame: pl.DataFrame) -> None:
        """Write rows of the log, all of one day and with the same columns, as one file.

        Raises:
            OSError, polars.exceptions.PolarsError: it could not be written.
        """
        self._number += 1
        part = prediction_log.write(frame, self.folder, self._writer, self._number, self._number)
        group = part.path.parent, part.columns
        if frame.height < FULL_ROWS:
            self._small[group].append((part, frame.height))
        elif group in self._small:
            # A merged file covers all numbers from its first to its last, which must not include
            # the number of this file.
            self._ended.append(self._small.pop(group))

    def merge(self, everything: bool = False) -> None:
        """Merge small files into one, and delete files that were merged a while ago.

        Args:
            everything: merge any number of files, at the end.

        Raises:
            OSError, polars.exceptions.PolarsError: a file could not be read, written or removed.
            locks.LockTimeoutError: another process is changing the log.
        """
        while self._ended:
            small = self._ended.pop()
            if len(small) > 1:
                delete_merged(self._merge(small).path.parent)
        today = max((day for day, _ in self._small), default=None)
        for (day, columns), small in list(self._small.items()):
            rows = sum(height for _, height in small)
            if everything or day != today or len(small) >= MAX_FILES or rows >= FULL_ROWS:
                del self._small[day, columns]
                if len(small) > 1:
                    merged = self._merge(small)
                    delete_merged(day)
                    if day == today and rows < FULL_ROWS:
                        self._small[day, columns] = [(merged, rows)]

    def _merge(self, small: list[tuple[Part, int]]) -> Part:
        first, last = small[0][0], small[-1][0]
        files = [part.path for part, _ in small]
        # Rows that somebody erases from the small files meanwhile must not come back in this one.
        with locks.locked(self.folder):
            frame = pl.concat([sealed.read(path) for path in files])
            return prediction_log.write(frame, self.folder, self._writer, first.first, last.last)


def delete_merged(day: Path) -> None:
    """Delete files that were merged a while ago, and unfinished files of killed writers."""
    now = time.time()
    listed = log_parts.all_parts(day)
    kept = {part.path for part in log_parts.uncovered(listed)}
    for part in listed:
        if part.path not in kept and now - part.path.stat().st_mtime > KEEP_SECONDS:
            part.path.unlink(missing_ok=True)
    for path in day.glob(".*.tmp"):
        if now - path.stat().st_mtime > STALE_SECONDS:
            path.unlink(missing_ok=True)


def frames(batches: Sequence[Batch]) -> list[tuple[list[Batch], pl.DataFrame | BaseException]]:
    """Group batches by day and columns, and assemble each group for one file.

    Returns:
        The batches of each group with their rows of the log, or the error of assembling them.
    """
    groups: dict[tuple[int, str], list[Batch]] = defaultdict(list)
    for batch in batches:
        kind = f"{schema_text(batch.rows)}{schema_text(batch.features)}{batch.reasons is not None}"
        kind += f"{batch.kind}{batch.sent is not None}"
        groups[batch.time // DAY, kind].append(batch)
    assembled: list[tuple[list[Batch], pl.DataFrame | BaseException]] = []
    for group in groups.values():
        try:
            assembled.append((group, prediction_log.assemble(group)))
        # Any error of one group must not prevent the others from being written.
        except (Exception, pl.exceptions.PanicException) as error:
            assembled.append((group, error))
    return assembled
