"""The files of one writer of the prediction log: one a second, merged before they grow many."""

import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from rung_ops.batch import prediction_log
from rung_ops.batch.prediction_log import Batch, Part

FULL = 20_000  # rows; a file of as many is never merged again
DAY = 86_400_000_000  # microseconds
MANY = 60  # files that are not full: a minute of them where there is one a second
LINGER = 120.0  # seconds that a merged file stays for whoever is reading it
STALE = 3600.0  # seconds after which an unfinished file is one of a writer that was killed


class Files:
    """Writes batches below a folder and keeps the number of files sane.

    A day of any traffic ends as files of FULL rows and at most MANY smaller ones for each start
    of the service; each row is written about twice.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writer = prediction_log.writer_name()
        self._number = 0
        self._small: dict[tuple[Path, str], list[tuple[Part, int]]] = defaultdict(list)
        self._ended: list[list[tuple[Part, int]]] = []  # to be merged, and not added to

    def write(self, frame: pl.DataFrame) -> None:
        """Write rows of the log, all of one day and with the same columns, as one file.

        Raises:
            OSError, polars.exceptions.PolarsError: it could not be written.
        """
        self._number += 1
        part = prediction_log.write(frame, self.folder, self._writer, self._number, self._number)
        alike = part.path.parent, part.columns
        if frame.height < FULL:
            self._small[alike].append((part, frame.height))
        elif alike in self._small:
            # A merged file stands for all numbers from its first to its last: this one's must not
            # be among them.
            self._ended.append(self._small.pop(alike))

    def merge(self, everything: bool = False) -> None:
        """Make one file of many small ones, and remove those that were merged a while ago.

        Args:
            everything: merge however few there are, as at the end.

        Raises:
            OSError, polars.exceptions.PolarsError: a file could not be read, written or removed.
        """
        while self._ended:
            small = self._ended.pop()
            if len(small) > 1:
                tidy(self._merge(small).path.parent)
        today = max((day for day, _ in self._small), default=None)
        for (day, columns), small in list(self._small.items()):
            rows = sum(height for _, height in small)
            if everything or day != today or len(small) >= MANY or rows >= FULL:
                del self._small[day, columns]
                if len(small) > 1:
                    merged = self._merge(small)
                    tidy(day)
                    if day == today and rows < FULL:
                        self._small[day, columns] = [(merged, rows)]

    def _merge(self, small: list[tuple[Part, int]]) -> Part:
        first, last = small[0][0], small[-1][0]
        files = [part.path for part, _ in small]
        frame = pl.concat([pl.read_parquet(path, hive_partitioning=False) for path in files])
        return prediction_log.write(frame, self.folder, self._writer, first.first, last.last)


def tidy(day: Path) -> None:
    """Remove what nobody reads any more: files merged a while ago, and what a crash left."""
    now = time.time()
    listed = prediction_log.all_parts(day)
    kept = {part.path for part in prediction_log.uncovered(listed)}
    for part in listed:
        if part.path not in kept and now - part.path.stat().st_mtime > LINGER:
            part.path.unlink(missing_ok=True)
    for path in day.glob(".*.tmp"):
        if now - path.stat().st_mtime > STALE:
            path.unlink(missing_ok=True)


def frames(batches: Sequence[Batch]) -> list[tuple[list[Batch], pl.DataFrame | BaseException]]:
    """Assemble what makes one file: batches of a day with the same columns.

    Returns:
        Pairs of the batches and their rows of the log, or what is wrong with them.
    """
    alike: dict[tuple[int, str], list[Batch]] = defaultdict(list)
    for batch in batches:
        kind = f"{batch.rows.schema}{batch.features.schema}"
        alike[batch.time // DAY, kind].append(batch)
    assembled: list[tuple[list[Batch], pl.DataFrame | BaseException]] = []
    for group in alike.values():
        try:
            assembled.append((group, prediction_log.assemble(group)))
        # Whatever is wrong with them, the others are to be written.
        except (Exception, pl.exceptions.PanicException) as error:
            assembled.append((group, error))
    return assembled
