"""Dynamic batching: score requests that arrive together as one batch, without waiting for more.

A batch holds the requests that arrived while the previous one ran: a single row at low load, many
rows at high load, which then share the cost of a frame and of a call of the model. It is closed as
soon as the event loop delivers no further request.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from rung_ops.model.rows import Refusal
from rung_ops.project.service_settings import Limits
from rung_ops.serving.hooks import HookRunError, Score, score_release
from rung_ops.serving.jobs import Job, Part, Scored, ScoringError, score_parts
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

Report = Callable[[Scored], None]
Outcome = Scored | tuple[Part, BaseException]


class Lane:
    """A queue of jobs, with their rows and the seconds that they are expected to take."""

    def __init__(self) -> None:
        self.jobs: deque[Job] = deque()
        self.rows = 0
        self.seconds = 0.0

    def add(self, job: Job) -> None:
        self.jobs.append(job)
        self.rows += job.height
        self.seconds += job.height * job.served.wait.each

    def remove(self, job: Job, rows: int) -> None:
        self.rows -= rows
        self.seconds = self.seconds - rows * job.served.wait.each if self.rows else 0.0


class Batcher:
    """Scores jobs one batch at a time; use it only on the event loop.

    Small jobs share batches. Large jobs are split into parts; waiting small jobs are scored after
    each part.
    """

    def __init__(self, limits: Limits, report: Report, score: Score = score_release) -> None:
        """Create an idle batcher.

        Args:
            limits: of waiting rows and of time on the event loop.
            report: called with each scored batch, after its results were delivered.
            score: scores the rows of a batch with a release.
        """
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

    def admit(self, rows: int, by_column: bool = False) -> None:
        """Check that the rows of a new request would not wait too long.

        Args:
            rows: number of rows.
            by_column: whether they come as a table, which never shares a batch.

        Raises:
            Refusal: 503; they would wait too long, or too many rows are waiting.
        """
        lane, limit = (self._small, self._limits.max_waiting_rows)
        seconds = lane.seconds
        if by_column or rows > SMALL:
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

    def _timed(self, parts: list[Part]) -> tuple[list[Outcome], float]:
        """Score parts; return the outcomes and the CPU seconds."""
        start = time.thread_time()
        outcomes = score_parts(parts, self._score)
        return outcomes, time.thread_time() - start

    def _next(self) -> list[Part]:
        """Remove the next batch from the queues: parts of one release."""
        if self._large.jobs and (self._large_next or not self._small.jobs):
            self._large_next = False
            job = self._large.jobs[0]
            start = job.given
            job.given = min(start + self._max_rows(job.served), job.height)
            if job.given == job.height:
                self._large.jobs.popleft()
            self._large.remove(job, job.given - start)
            return [Part(job, start, job.given)]
        self._large_next = True
        jobs = self._small.jobs
        served = jobs[0].served
        limit = self._max_rows(served)
        parts: list[Part] = []
        rows = 0
        while jobs and jobs[0].served is served:
            if parts and rows + jobs[0].height > limit:
                break
            job = jobs.popleft()
            self._small.remove(job, job.height)
            rows += job.height
            parts.append(Part(job, 0, job.height))
        return parts

    def _max_rows(self, served: LoadedRelease) -> int:
        """Return the largest number of rows of a batch; the fixed cost of a batch is ignored."""
        return max(1, min(MAX_ROWS, int(self._batch_seconds / served.wait.each)))

    def _finish(
        self,
        parts: list[Part],
        rows: int,
        start: float,
        outcomes: list[Outcome],
        worked: float,
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

    def _fail(self, part: Part, error: BaseException) -> None:
        job = part.job
        if self._large.jobs and self._large.jobs[0] is job:
            self._large.jobs.popleft()
            self._large.remove(job, job.height - job.given)
        if not job.future.done():
            message = f"{error}"
            if not isinstance(error, HookRunError):
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
