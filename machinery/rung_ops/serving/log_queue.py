"""Logging predictions without ever making one wait: a bounded queue and one thread that writes."""

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from rung_ops.batch.prediction_log import Batch, now
from rung_ops.serving.log_files import Files, frames

LOG = logging.getLogger("service")

# A batch of one row keeps some 5 kB alive, a row in a large batch some 0.1 kB: a batch counts as
# so many rows more than it has.
BATCH = 32
LAST_TRIES = 5  # to write what waits at the end, where the thread dies again and again


class PredictionLog:
    """Takes batches of predictions and writes them to Parquet, about once a second.

    Nothing that happens to the disk or to the thread reaches a prediction: rows wait in memory,
    then are dropped and counted.

    Attributes:
        written: rows that are in a file.
        dropped: rows that never will be: the queue was full, or they were malformed.
        failures: attempts to write that failed; their rows are kept and tried again.
        restarts: how often the thread was found dead and started anew.
    """

    def __init__(self, folder: Path, seconds: float = 1.0, rows: int = 200_000) -> None:
        """Start to log.

        Args:
            folder: of the log, from prediction_log.folder().
            seconds: time between two files.
            rows: how many rows may wait in memory.
        """
        self.written = self.dropped = self.failures = self.restarts = 0
        self._seconds = seconds
        self._limit = rows
        self._waiting: deque[Batch] = deque()
        self._writing: list[Batch] = []
        self._weight = 0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = self._finished = False
        self._failing = False
        self._files = Files(folder)
        self._thread = self._start()

    def add(
        self,
        ids: Sequence[str],
        release: str,
        arm: str,
        rows: pl.DataFrame,
        features: pl.DataFrame,
        predictions: np.ndarray,
        defaults: Sequence[Sequence[str]] | None = None,
    ) -> None:
        """Keep references to a batch for the thread to write; never waits for it, never raises."""
        batch = Batch(now(), ids, release, arm, rows, features, predictions, defaults)
        weight = len(ids) + BATCH
        with self._lock:
            full = self._weight + weight > self._limit or self._closing
            if full:
                self.dropped += len(ids)
            else:
                self._waiting.append(batch)
                self._weight += weight
        if self._weight * 2 > self._limit:
            self._wake.set()
        if not self._thread.is_alive():
            self._revive()

    @property
    def waiting(self) -> int:
        """How many rows wait to be written."""
        with self._lock:
            return sum(len(batch.ids) for batch in [*self._writing, *self._waiting])

    def close(self, seconds: float = 5.0) -> None:
        """Write what waits and stop; what is not written after so many seconds is dropped."""
        until = time.monotonic() + seconds
        self._closing = True
        self._wake.set()
        self._thread.join(seconds)
        for _ in range(LAST_TRIES):  # by a thread that died nothing more is written
            left = until - time.monotonic()
            if self._finished or self._thread.is_alive() or left <= 0:
                break
            self.restarts += 1
            self._thread = self._start()
            self._thread.join(left)
        lost = self.waiting
        with self._lock:
            self._writing, self._weight = [], 0
            self._waiting.clear()
        if lost:
            self.dropped += lost
            LOG.warning("The prediction log lost %d rows that it could not write in time.", lost)

    def _start(self) -> threading.Thread:
        thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        thread.start()
        return thread

    def _revive(self) -> None:
        with self._lock:
            if self._thread.is_alive() or self._closing:
                return
            self.restarts += 1
            self._thread = self._start()
        LOG.warning("The writer of the prediction log had died; it was started again.")

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait(self._seconds)
            self._wake.clear()
            self._write()
            self._merge()
            if self._failing and not self._closing:
                time.sleep(self._seconds)  # a queue that is full wakes this thread all the time
        self._write()
        self._merge(everything=True)
        self._finished = True

    def _write(self) -> None:
        # What is being written stays in reach: if this thread dies, the next one takes it up.
        with self._lock:
            self._writing = [*self._writing, *self._waiting]
            self._waiting.clear()
        for group, frame in frames(self._writing):
            if isinstance(frame, BaseException):
                self.dropped += sum(len(batch.ids) for batch in group)
                LOG.error("Predictions cannot be logged, their parts do not fit: %s", frame)
            else:
                try:
                    self._files.write(frame)
                except Exception as error:  # any disk, any reason: the service goes on
                    self._failed(error)
                    continue
                self.written += frame.height
                self._failing = False
            self._settle(group)

    def _settle(self, group: list[Batch]) -> None:
        done = {id(batch) for batch in group}
        with self._lock:
            self._writing = [batch for batch in self._writing if id(batch) not in done]
            self._weight -= sum(len(batch.ids) + BATCH for batch in group)

    def _merge(self, everything: bool = False) -> None:
        try:
            self._files.merge(everything)
        except Exception as error:  # the small files stay, and are read as they are
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        if not self._failing:
            LOG.error("The prediction log cannot be written: %s", error)
        self._failing = True
