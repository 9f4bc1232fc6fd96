"""Dynamic batching: score requests that arrive together as one batch, without waiting for more.

A batch holds the requests that arrived while the previous one ran: a single row at low load, many
rows at high load, which then share the cost of a frame and of a call of the model. It is closed as
soon as the event loop delivers no further request.
"""

import asyncio
import math
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from rung_ops.model import source_import
from rung_ops.model.reasons import Reason
from rung_ops.model.rows import Missing, Refusal, Rows, Table, by_row
from rung_ops.project.service_settings import Limits
from rung_ops.serving.hooks import Score, ScoringError, score_release
from rung_ops.serving.loaded_release import LoadedRelease

SMALL = 64  # requests of at most this many rows share batches
MAX_ROWS = 1_024  # of a batch
# Longest duration of a batch, as a share of max_wait_ms. All rows of a batch are answered at its
# end, so slow rows need short batches.
BATCH_SHARE = 0.25
# Iterations of the event loop without a new job after which a batch is closed: a request that is
# read in the first one becomes a job in the second. Each takes some microseconds.
IDLE_ITERATIONS = 2
MAX_ITERATIONS = 32

# A batch whose wall time is at most this multiple of its CPU time may run on the event loop: the
# machine is busy then, and a thread would not help.
BUSY_FACTOR = 10


class Job:
    """The rows of one request."""

    __slots__ = (
        "served",
        "identity",
        "key",
        "is_single",
        "rows",
        "table",
        "height",
        "arrived",
        "future",
        "predictions",
        "defaults",
        "explained",
        "reasons",
        "handed_out",
    )

    def __init__(
        self,
        served: LoadedRelease,
        identity: str,
        key: str,
        arrived: float,
        sent: list[Any] | Table,
    ) -> None:
        self.served = served  # the release that answers all of them
        self.identity = identity  # the request's id
        self.key = key  # whose it is, where that decides on the release; empty otherwise
        self.is_single = False  # it is one JSON object
        # As the reader decoded them, where they came as JSON objects.
        self.rows = None if isinstance(sent, Table) else sent
        # The same as a frame, where they came by columns, or are looked up in parts.
        self.table = sent if isinstance(sent, Table) else None
        self.height = sent.frame.height if isinstance(sent, Table) else len(sent)
        self.arrived = arrived  # when the request did, by time.perf_counter()
        self.future = _future()  # done when they are scored; raises ScoringError, or a Refusal
        # Of the rows scored so far; of classes, a list of probabilities for each.
        self.predictions: list[Any] = []
        # Names of their defaulted columns; None while there are none.
        self.defaults: list[list[str]] | None = None
        # Done when `reasons` has those of all rows; None if none were asked for.
        self.explained: asyncio.Future[None] | None = None
        # Of the rows explained so far; None if none were asked for.
        self.reasons: list[list[Reason]] | None = None
        self.handed_out = 0  # rows of it that are scored, or being scored

    def ids(self, start: int, stop: int) -> list[str]:
        """Name some of the rows, counted from 0: the request's id, with the row's number."""
        if self.is_single:
            return [self.identity]
        return [f"{self.identity}-{number}" for number in range(start + 1, stop + 1)]

    def explain(self) -> None:
        """Request the reasons of all rows."""
        self.explained, self.reasons = _future(), []

    def add(self, predictions: Sequence[Any], defaults: list[list[str]] | None) -> None:
        """Add the predictions of the next rows."""
        if defaults is not None or self.defaults is not None:
            before = self.defaults or [[] for _ in self.predictions]
            self.defaults = before + (defaults or [[] for _ in predictions])
        self.predictions += predictions


def _future() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


class JobPart(NamedTuple):
    """Some rows of a job: from `start` to before `stop`, counted from 0."""

    job: Job
    start: int
    stop: int


class Scored(NamedTuple):
    """A batch that was scored: the rows of its parts, one after the other."""

    parts: list[JobPart]  # of jobs of one release
    rows: Rows  # shape (n_rows, n_columns)
    features: Rows  # shape (n_rows, n_features)
    predictions: np.ndarray
    missing: Missing  # as a Table has it, and `sent`
    sent: Missing | None = None
    # Rows whose value the hook before_prediction changed, by column, counted from 0; None where
    # reasons were not asked for.
    hooked: Missing | None = None

    def defaults(self) -> list[list[str]] | None:
        """Name the defaulted columns of each row; None if nothing was missing."""
        return by_row(self.missing, len(self.predictions))


Outcome = Scored | tuple[JobPart, BaseException]


class Lane:
    """A queue of jobs, with their rows and the seconds that they are expected to take."""

    def __init__(self) -> None:
        self.jobs: deque[Job] = deque()
        self.rows = 0
        self.seconds = 0.0

    def add(self, job: Job) -> None:
        self.jobs.append(job)
        self.rows += job.height
        self.seconds += job.height * job.served.wait.per_row

    def remove(self, job: Job, rows: int) -> None:
        self.rows -= rows
        self.seconds = self.seconds - rows * job.served.wait.per_row if self.rows else 0.0


class Batcher:
    """Scores jobs one batch at a time; use it only on the event loop.

    Small jobs share batches. Large jobs are split into parts; waiting small jobs are scored after
    each part.
    """

    def __init__(
        self, limits: Limits, report: Callable[[Scored], None], score: Score = score_release
    ) -> None:
        self._score = score
        self._limits = limits
        self._report = report
        self._small, self._large = Lane(), Lane()
        self._running = False
        self._known = self._idle = self._iterations = 0  # of the batch that is being filled
        self._large_next = False
        self._batch_seconds = BATCH_SHARE * limits.max_wait_ms / 1000
        self._until = 0.0  # expected end of the batch in the thread
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="score")

    @property
    def waiting(self) -> int:
        """Number of waiting rows."""
        return self._small.rows + self._large.rows

    def has_small(self) -> bool:
        """Return whether a request of few rows waits."""
        return bool(self._small.jobs)

    def admit(self, rows: int, is_large: bool = False) -> None:
        """Refuse a new request with 503 if its rows would wait too long.

        `is_large`: it never shares a batch, as a table or a body of more than a slice.
        """
        lane, limit = (self._small, self._limits.max_waiting_rows)
        seconds = lane.seconds
        if is_large or rows > SMALL:
            lane, limit = self._large, self._limits.max_rows
            seconds += lane.seconds
        if self._until:
            seconds += max(self._until - time.perf_counter(), 0.0)
        full = lane.rows and lane.rows + rows > limit
        if full or seconds * 1000 > self._limits.max_wait_ms:
            raise Refusal(
                503,
                f"Too busy: {self.waiting:,} rows wait already. Try again in a moment.",
                retry_after=max(1, math.ceil(seconds)),
            )

    def submit(self, job: Job) -> asyncio.Future[None]:
        """Queue a job; return its future."""
        # One that is to be explained shares no batch: its rows are logged with their reasons.
        is_small = job.table is None and job.height <= SMALL and job.explained is None
        (self._small if is_small else self._large).add(job)
        if not self._running:
            self._running = True
            self._open()
        return job.future

    def close(self) -> None:
        """Stop the thread; no job may be waiting."""
        self._thread.shutdown(wait=True)

    def _open(self) -> None:
        self._known = self._idle = self._iterations = 0
        asyncio.get_running_loop().call_soon(self._fill)

    def _fill(self) -> None:
        """Wait until the event loop delivers no further job, then run the batch."""
        waiting = len(self._small.jobs) + len(self._large.jobs)
        self._idle = self._idle + 1 if waiting == self._known else 0
        self._known = waiting
        self._iterations += 1
        is_open = self._idle < IDLE_ITERATIONS and self._iterations < MAX_ITERATIONS
        if is_open and self.waiting < MAX_ROWS:
            asyncio.get_running_loop().call_soon(self._fill)
        else:
            self._run()

    def _run(self) -> None:
        parts = self._next()
        rows = sum(part.stop - part.start for part in parts)
        served = parts[0].job.served
        wait = served.wait.seconds(rows)
        start = time.perf_counter()
        computing = max(served.work.seconds(rows), wait / BUSY_FACTOR)
        if computing * 1000 <= self._limits.inline_ms:
            self._finish(parts, rows, start, *self._timed(parts))
            return
        self._until = start + wait
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(self._thread, self._timed, parts)
        running.add_done_callback(lambda done: self._finish(parts, rows, start, *done.result()))

    def _timed(self, parts: list[JobPart]) -> tuple[list[Outcome], float]:
        """Score parts; return the outcomes and the CPU seconds."""
        start = time.thread_time()
        outcomes = score_parts(parts, self._score)
        return outcomes, time.thread_time() - start

    def _next(self) -> list[JobPart]:
        """Remove the next batch from the queues: parts of one release."""
        if self._large.jobs and (self._large_next or not self._small.jobs):
            self._large_next = False
            job = self._large.jobs[0]
            start = job.handed_out
            job.handed_out = min(start + self._max_rows(job.served), job.height)
            if job.handed_out == job.height:
                self._large.jobs.popleft()
            self._large.remove(job, job.handed_out - start)
            return [JobPart(job, start, job.handed_out)]
        self._large_next = True
        jobs = self._small.jobs
        served = jobs[0].served
        limit = self._max_rows(served)
        parts: list[JobPart] = []
        rows = 0
        while jobs and jobs[0].served is served:
            if parts and rows + jobs[0].height > limit:
                break
            job = jobs.popleft()
            self._small.remove(job, job.height)
            rows += job.height
            parts.append(JobPart(job, 0, job.height))
        return parts

    def _max_rows(self, served: LoadedRelease) -> int:
        """Return the largest number of rows of a batch; the fixed cost of a batch is ignored."""
        return max(1, min(MAX_ROWS, int(self._batch_seconds / served.wait.per_row)))

    def _finish(
        self, parts: list[JobPart], rows: int, start: float, outcomes: list[Outcome], worked: float
    ) -> None:
        loop = asyncio.get_running_loop()
        self._until = 0.0
        served = parts[0].job.served
        served.wait.learn(rows, time.perf_counter() - start)
        served.work.learn(rows, worked)
        for outcome in outcomes:
            if isinstance(outcome, Scored):
                _deliver(outcome)
                loop.call_soon(self._report, outcome)
            else:
                self._fail(*outcome)
        if self._small.jobs or self._large.jobs:
            self._open()
        else:
            self._running = False

    def _fail(self, part: JobPart, error: BaseException) -> None:
        job = part.job
        if self._large.jobs and self._large.jobs[0] is job:
            self._large.jobs.popleft()
            self._large.remove(job, job.height - job.handed_out)
        if job.future.done():
            return
        if isinstance(error, Refusal):
            job.future.set_exception(error)
        else:
            message = f"{error}"
            if not isinstance(error, ScoringError):
                message = f"{job.served.release.id} cannot score this: {message}"
            failed = ScoringError(message)
            failed.__cause__ = error
            job.future.set_exception(failed)


def _deliver(scored: Scored) -> None:
    values = scored.predictions.tolist()
    defaults = scored.defaults()
    begin = 0
    for job, start, stop in scored.parts:
        end = begin + stop - start
        job.add(values[begin:end], None if defaults is None else defaults[begin:end])
        begin = end
        if stop == job.height and not job.future.done():
            job.future.set_result(None)


def score_parts(parts: list[JobPart], score: Score) -> list[Outcome]:
    """Score parts of jobs for one release together; where that fails, every job by itself.

    So a row on which the features, the model or a hook fail lets no other request fail.
    """
    try:
        return [_score(parts, score)]
    except source_import.FAULTS as error:
        if len(parts) == 1:
            return [(parts[0], error)]
    return [outcome for part in parts for outcome in score_parts([part], score)]


def _score(parts: list[JobPart], score: Score) -> Scored:
    first, start, stop = parts[0]
    served, lookup = first.served, first.served.lookup
    # Once for all parts of a job: for its answer, and to refuse it before a part is logged.
    if lookup is not None and start == 0 and (first.table is not None or stop < first.height):
        whole = first.table
        first.table = (
            served.reader.table(first.rows or (), lookup.fill)
            if whole is None
            else lookup.fill(whole)
        )
    if first.table is not None:
        table = _cut(first.table, start, stop)
    else:
        decoded = [row for job, start, stop in parts for row in (job.rows or ())[start:stop]]
        # A hook and the reasons take frames.
        if score is score_release and first.explained is None and served.takes_values(len(decoded)):
            values, missing = served.reader.values(decoded)
            scored = served.release.score_values(values)
            if scored is not None:
                _require_numbers(served, scored[1], values.height)
                return Scored(parts, values, *scored, missing)
        fill = None if lookup is None else partial(lookup.fill, is_shared=len(parts) > 1)
        table = served.reader.table(decoded, fill)
    # Of what is explained, the reasons say which values a hook has changed, maybe in place.
    before = table.frame.clone() if first.explained is not None else None
    rows, features, predictions = score(served.release, table.frame)
    _require_numbers(served, predictions, table.frame.height)
    hooked = None if before is None or score is score_release else _changed(before, rows)
    return Scored(parts, rows, features, predictions, table.missing, table.sent, hooked)


def _changed(before: pl.DataFrame, after: pl.DataFrame) -> Missing:
    """Number the rows whose values differ, by column."""
    differ = {
        name: before[name].ne_missing(after[name]).arg_true().to_list() for name in before.columns
    }
    return {name: rows for name, rows in differ.items() if rows}


def _require_numbers(served: LoadedRelease, predictions: np.ndarray, height: int) -> None:
    if not np.isfinite(predictions).all() or len(predictions) != height:
        raise ScoringError(f"{served.release.id} cannot score this: it gave no number for a row")


def _cut(table: Table, start: int, stop: int) -> Table:
    if start == 0 and stop == table.frame.height:
        return table
    frame = table.frame.slice(start, stop - start)
    missing = _between(table.missing, start, stop)
    return Table(frame, missing, table.sent and _between(table.sent, start, stop))


def _between(by_column: dict[str, list[int]], start: int, stop: int) -> dict[str, list[int]]:
    cut = {
        column: [row - start for row in rows[bisect_left(rows, start) : bisect_left(rows, stop)]]
        for column, rows in by_column.items()
    }
    return {column: rows for column, rows in cut.items() if rows}
