"""Write the prediction log without delaying predictions: a bounded queue, a thread, and its files."""

import logging
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from rung_ops import prediction_log
from rung_ops.model.rows import schema_text
from rung_ops.prediction_log import Batch, Part, other_times, sealed
from rung_ops.system.files import locked

LOG = logging.getLogger("service")

# Weight of a batch in rows, in addition to its rows: a batch of one row takes about 5 kB of memory,
# a row in a large batch about 0.1 kB.
BATCH_WEIGHT = 32
MAX_RESTARTS = 5  # of a dying thread, while closing

# A file of this size is not merged again, and as many rows do not wait for their second to pass: a file
# is made in memory, so twice as many rows, the most in a file, cost the service 10 MB more.
FULL_ROWS = 5_000
DAY = 86_400_000_000  # microseconds
MAX_FILES = 60  # small files are merged at this number, about once a minute
# Requests wait while rows are put together, as that is Python: some 2 ms for so many.
PIECE_ROWS, PAUSE = 1_000, 0.0005  # seconds
CHUNKS = 100  # of waiting rows: each takes some 15 kB, however few rows it has


class PredictionLog:
    """Queues batches of predictions and writes them to Parquet, once a second or when a file is full.

    Failures of the disk or the thread never affect a prediction: rows wait in memory, and are
    dropped and counted when the queue is full.
    """

    def __init__(
        self, folder: Path, seconds: float = 1.0, rows: int = 200_000, address: str = ""
    ) -> None:
        # Rows written and lost, attempts to write that failed, restarts of a dead thread.
        self.written = self.dropped = self.failures = self.restarts = 0
        self._seconds = seconds
        self._limit = rows
        self._waiting: deque[Batch] = deque()
        self._writing: list[Batch] = []
        self._unwritten: dict[tuple[object, ...], pl.DataFrame] = {}  # by day and columns
        self._weight = 0
        self._rows = 0  # in `_waiting`
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = self._finished = False
        self._failing = False
        self._reason = ""  # of the last failure
        self._dropped_at = ""
        self._files = LogFiles(folder)
        self._upload = None
        if address:  # of the log in a bucket
            # Its library is not needed for a folder.
            from rung_ops.prediction_log import log_bucket

            self._upload = log_bucket.start_uploads(folder, self._files.writer, address)
        # Counts the rows that needed entity features of another time; None if none may.
        self.other_times: Callable[[], other_times.Counts] | None = None
        self._counted: other_times.Counts = {}
        self._thread = self._start()

    def add(self, batch: Batch) -> None:
        """Queue a batch for the thread; never waits and never raises."""
        rows = len(batch.ids)
        weight = rows + BATCH_WEIGHT
        with self._lock:
            full = self._weight + weight > self._limit or self._closing
            if full:
                self._drop(rows)
            else:
                self._waiting.append(batch)
                self._weight += weight
                self._rows += rows
        if self._rows >= FULL_ROWS or self._weight * 2 > self._limit:
            self._wake.set()
        if not self._thread.is_alive():
            self._restart()

    @property
    def waiting(self) -> int:
        """Number of rows that are not written yet."""
        with self._lock:
            batches = sum(len(batch.ids) for batch in [*self._writing, *self._waiting])
            return batches + sum(frame.height for frame in self._unwritten.values())

    @property
    def problem(self) -> str | None:
        """What is wrong with the log, and which rows it lacks; None if it has all."""
        problems = []
        if self._failing:
            problems.append(
                f"The prediction log cannot be written ({self._reason}): {self.waiting:,} rows wait "
                "in memory, and once that is full the newest are dropped."
            )
        if self.dropped:
            problems.append(
                f"The prediction log has dropped {self.dropped:,} rows since the start, the last at "
                f"{self._dropped_at}: they were answered, and cannot be monitored or shown."
            )
        if self._upload is not None and self._upload.problem:
            problems.append(self._upload.problem)
        return " ".join(problems) or None

    def close(self, seconds: float = 5.0) -> None:
        """Write the waiting rows and stop; rows not written within `seconds` are dropped."""
        until = time.monotonic() + seconds
        self._closing = True
        self._wake.set()
        self._thread.join(seconds)
        for _ in range(MAX_RESTARTS):  # if the thread died
            left = until - time.monotonic()
            if self._finished or self._thread.is_alive() or left <= 0:
                break
            self.restarts += 1
            self._thread = self._start()
            self._thread.join(left)
        lost = self.waiting
        with self._lock:
            self._writing, self._unwritten, self._weight = [], {}, 0
            self._waiting.clear()
        if lost:
            self._drop(lost)
            LOG.warning("The prediction log dropped %d rows: not written in time.", lost)

    def upload(self, seconds: float) -> None:
        """Upload what was written to the bucket, if there is one, within `seconds`, and stop that."""
        if self._upload is not None:
            self._upload.close(seconds)

    def _drop(self, rows: int) -> None:
        self.dropped += rows
        self._dropped_at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"

    def _start(self) -> threading.Thread:
        thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        thread.start()
        return thread

    def _restart(self) -> None:
        with self._lock:
            if self._thread.is_alive() or self._closing:
                return
            self.restarts += 1
            self._thread = self._start()
        LOG.warning("The writer of the prediction log died and was restarted.")

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait(self._seconds)
            self._wake.clear()
            self._write()
            self._count()
            self._merge()
            if self._failing and not self._closing:
                time.sleep(self._seconds)  # a full queue would wake this thread continuously
        self._write()
        self._count()
        self._merge(everything=True)
        self._finished = True

    def _write(self) -> None:
        # Kept in self._writing, so that a restarted thread continues if this one dies.
        with self._lock:
            self._writing = [*self._writing, *self._waiting]
            self._waiting.clear()
            self._rows = 0
        for group, frame in frames(self._writing):
            if isinstance(frame, BaseException):
                self._drop(sum(len(batch.ids) for batch in group))
                LOG.error("Predictions cannot be logged; their parts differ: %s", frame)
                self._replace(group)
            else:
                self._replace(group, frame)
        for key in list(self._unwritten):
            self._write_file(key)

    def _replace(self, group: list[Batch], frame: pl.DataFrame | None = None) -> None:
        """Let a frame wait in the place of its batches, as it takes less memory, or nothing."""
        done = {id(batch) for batch in group}
        weight = -sum(len(batch.ids) + BATCH_WEIGHT for batch in group)
        waiting = {}
        if frame is not None:  # put together without the lock: only this thread changes it
            key = group[0].time // DAY, *frame.schema.items()
            earlier = self._unwritten.get(key)
            whole = frame if earlier is None else earlier.vstack(frame)
            waiting[key] = whole.rechunk() if whole.n_chunks() > CHUNKS else whole
            weight += frame.height + (BATCH_WEIGHT if earlier is None else 0)
        with self._lock:
            self._unwritten |= waiting
            self._writing = [batch for batch in self._writing if id(batch) not in done]
            self._weight += weight

    def _write_file(self, key: tuple[object, ...]) -> None:
        """Write the rows of one day and the same columns as one file, or as several if they are many."""
        while (frame := self._unwritten.get(key)) is not None:
            part = frame if frame.height < 2 * FULL_ROWS else frame.head(FULL_ROWS)
            try:
                self._files.write(part)
            except Exception as error:  # no failure of the disk may stop the service
                self._failed(error)
                return
            self._failing = False
            self.written += part.height
            with self._lock:
                if self._unwritten.pop(key, None) is None:
                    return  # close() has given up
                self._weight -= part.height
                if part.height < frame.height:
                    self._unwritten[key] = frame[part.height :]
                else:
                    self._weight -= BATCH_WEIGHT

    def _count(self) -> None:
        counts = self.other_times() if self.other_times is not None else {}
        if counts == self._counted:
            return
        try:
            self._files.count(counts)
            self._counted = counts
        except Exception as error:  # the counts are written with the next rows
            self._failed(error)

    def _merge(self, everything: bool = False) -> None:
        try:
            self._files.merge(everything)
        except Exception as error:  # the small files stay readable
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        self._reason = str(error)
        if not self._failing:
            LOG.error("The prediction log cannot be written: %s", error)
        self._failing = True
        self.failures += 1  # last: a thread that waits for it then reads the others


def frames(batches: Sequence[Batch]) -> list[tuple[list[Batch], pl.DataFrame | BaseException]]:
    """Group batches by day and columns, and assemble each group for one file."""
    groups: dict[tuple[object, ...], list[Batch]] = defaultdict(list)
    for batch in batches:
        schemas = schema_text(batch.rows), schema_text(batch.features)
        optional = batch.reasons is not None, batch.sent is not None
        groups[batch.time // DAY, *schemas, batch.kind, *optional].append(batch)
    assembled: list[tuple[list[Batch], pl.DataFrame | BaseException]] = []
    for group in groups.values():
        try:
            assembled.append((group, _assembled(group)))
        # Any error of one group must not prevent the others from being written.
        except (Exception, pl.exceptions.PanicException) as error:
            assembled.append((group, error))
    return assembled


def _assembled(group: Sequence[Batch]) -> pl.DataFrame:
    """Assemble batches a piece at a time, and let requests be answered in between."""
    frames, piece, rows = [], list[Batch](), 0
    for batch in group:
        piece.append(batch)
        rows += len(batch.ids)
        if rows >= PIECE_ROWS or batch is group[-1]:
            frames.append(prediction_log.assemble(piece))
            piece, rows = [], 0
            time.sleep(PAUSE)
    return pl.concat(frames, rechunk=True)


class LogFiles:
    """Writes batches below a folder and limits the number of files.

    Each start of the service leaves files of FULL_ROWS rows and at most MAX_FILES smaller ones per
    day; each row is written about twice.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.writer = prediction_log.writer_name()
        self._number = 0
        self._small: dict[tuple[Path, str], list[tuple[Part, int]]] = defaultdict(list)
        self._ended: list[list[tuple[Part, int]]] = []  # complete groups to merge

    def write(self, frame: pl.DataFrame) -> None:
        """Write rows of the log, all of one day and with the same columns, as one file."""
        self._number += 1
        part = prediction_log.write(frame, self.folder, self.writer, self._number, self._number)
        group = part.path.parent, part.columns
        if frame.height < FULL_ROWS:
            self._small[group].append((part, frame.height))
        elif group in self._small:
            # A merged file covers all numbers from its first to its last, which must not include
            # the number of this file.
            self._ended.append(self._small.pop(group))

    def count(self, counts: other_times.Counts) -> None:
        """Write the rows that needed entity features of another time, beside the log."""
        other_times.write(self.folder, self.writer, counts)

    def merge(self, everything: bool = False) -> None:
        """Merge small files into one, and delete files that were merged a while ago.

        `everything`: any number of files, at the end.
        """
        while self._ended:
            small = self._ended.pop()
            if len(small) > 1:
                prediction_log.delete_merged(self._merge(small).path.parent)
        today = f"date={datetime.now(UTC):%Y-%m-%d}"
        for (day, columns), small in list(self._small.items()):
            rows = sum(height for _, height in small)
            if everything or day.name != today or len(small) >= MAX_FILES or rows >= FULL_ROWS:
                del self._small[day, columns]
                if len(small) > 1:
                    merged = self._merge(small)
                    prediction_log.delete_merged(day)
                    if day.name == today and rows < FULL_ROWS:
                        self._small[day, columns] = [(merged, rows)]

    def _merge(self, small: list[tuple[Part, int]]) -> Part:
        first, last = small[0][0], small[-1][0]
        files = [part.path for part, _ in small]
        # Rows that somebody erases from the small files meanwhile must not come back in this one.
        with locked(self.folder):
            frame = pl.concat([sealed.read(path) for path in files])
            return prediction_log.write(frame, self.folder, self.writer, first.first, last.last)
