"""Score what arrives together as one batch, without ever waiting for more to arrive.

A batch holds whatever arrived while the one before it ran: a single row when all is quiet, many
under load, where the cost of a frame and of a call of the model is shared among them. It is closed
as soon as the event loop has nothing new to hand over.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from rung_ops.serving.hooks import HookRunError, Score, score_release
from rung_ops.serving.jobs import Job, Part, Scored, ScoringError, score_parts
from rung_ops.serving.loaded_release import LoadedRelease
from rung_ops.serving.refusal import Refusal
from rung_ops.serving.settings import Limits

SMALL = 64  # rows of a request up to which it shares a batch with others
ROWS = 1_024  # the most of a batch: then others have their turn
# What a batch may take, in shares of the longest wait. All of it is answered at its end, so the
# first of its rows waits as long as the last: where rows take long, batches are short.
TURN = 0.25
# Turns of the event loop without another job after which a batch is closed: in the first a request
# may have been read that becomes a job in the second. Each takes some microseconds.
QUIET = 2
MAX_TURNS = 32  # however many come

BUSY = 10  # times the computing in a batch, up to which a long wait is the machine's fault

Report = Callable[[Scored], None]
Outcome = Scored | tuple[Part, BaseException]


class Lane:
    """Jobs that wait, with their number of rows and the seconds they are expected to take."""

    def __init__(self) -> None:
        self.jobs: deque[Job] = deque()
        self.rows = 0
        self.seconds = 0.0

    def add(self, job: Job) -> None:
        self.jobs.append(job)
        self.rows += job.height
        self.seconds += job.height * job.served.wait.each

    def taken(self, job: Job, rows: int) -> None:
        self.rows -= rows
        self.seconds = self.seconds - rows * job.served.wait.each if self.rows else 0.0


class Batcher:
    """Scores jobs one batch at a time; used on the event loop alone.

    Small jobs share batches. Large ones are cut into parts, and after each part the small jobs
    that came in between have their turn.
    """

    def __init__(self, limits: Limits, report: Report, score: Score = score_release) -> None:
        """Start with nothing to do.

        Args:
            limits: how much may wait, and what is too long for the event loop.
            report: called with each batch that was scored, after its answers are on their way.
            score: scores the rows of a batch with a release.
        """
        self._score = score
        self._limits = limits
        self._report = report
        self._small, self._large = Lane(), Lane()
        self._running = False
        self._known = self._quiet = self._turns = 0  # of the batch that is being filled
        self._large_next = False
        self._turn_seconds = TURN * limits.max_wait_ms / 1000
        self._until = 0.0  # when the batch in the thread is expected to end
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="score")

    @property
    def waiting(self) -> int:
        """Count the rows that wait."""
        return self._small.rows + self._large.rows

    def admit(self, rows: int, by_column: bool = False) -> None:
        """Check that rows of a new request would not wait too long.

        Args:
            rows: their number.
            by_column: they come as a table, which shares no batch with others.

        Raises:
            Refusal: they would, or too many wait already.
        """
        lane, most = (self._small, self._limits.max_waiting_rows)
        seconds = lane.seconds
        if by_column or rows > SMALL:
            lane, most = self._large, self._limits.max_rows
            seconds += lane.seconds
        if self._until:
            seconds += max(self._until - time.perf_counter(), 0.0)
        crowded = lane.rows and lane.rows + rows > most
        if crowded or seconds * 1000 > self._limits.max_wait_ms:
            raise Refusal(
                503,
                f"Too busy: {self.waiting:,} rows wait already. Try again in a moment.",
                retry_after=max(1, math.ceil(seconds)),
            )

    def submit(self, job: Job) -> asyncio.Future[None]:
        """Let a job be scored; the future is the job's."""
        alike = job.table is None and job.height <= SMALL
        (self._small if alike else self._large).add(job)
        if not self._running:
            self._running = True
            self._open()
        return job.future

    def close(self) -> None:
        """Stop; nothing may wait any more."""
        self._thread.shutdown(wait=True)

    def _open(self) -> None:
        self._known = self._quiet = self._turns = 0
        asyncio.get_running_loop().call_soon(self._fill)

    def _fill(self) -> None:
        """Let the event loop hand over what has arrived already."""
        waiting = len(self._small.jobs) + len(self._large.jobs)
        self._quiet = self._quiet + 1 if waiting == self._known else 0
        self._known = waiting
        self._turns += 1
        if self._quiet < QUIET and self._turns < MAX_TURNS and self.waiting < ROWS:
            asyncio.get_running_loop().call_soon(self._fill)
        else:
            self._turn()

    def _turn(self) -> None:
        parts = self._next()
        rows = sum(part.stop - part.start for part in parts)
        served = parts[0].job.served
        wait = served.wait.seconds(rows)
        start = time.perf_counter()
        # On a busy machine all takes long, and a thread would only add to it.
        long = max(served.work.seconds(rows), wait / BUSY)
        if long * 1000 <= self._limits.inline_ms:
            self._finish(parts, rows, start, *self._timed(parts))
            return
        self._until = start + wait
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(self._thread, self._timed, parts)
        running.add_done_callback(lambda done: self._finish(parts, rows, start, *done.result()))

    def _timed(self, parts: list[Part]) -> tuple[list[Outcome], float]:
        """Score parts, and measure the seconds of computing."""
        start = time.thread_time()
        outcomes = score_parts(parts, self._score)
        return outcomes, time.thread_time() - start

    def _next(self) -> list[Part]:
        """Take the next batch: all of one release."""
        if self._large.jobs and (self._large_next or not self._small.jobs):
            self._large_next = False
            job = self._large.jobs[0]
            start = job.given
            job.given = min(start + self._most(job.served), job.height)
            if job.given == job.height:
                self._large.jobs.popleft()
            self._large.taken(job, job.given - start)
            return [Part(job, start, job.given)]
        self._large_next = True
        jobs = self._small.jobs
        served = jobs[0].served
        most = self._most(served)
        parts: list[Part] = []
        rows = 0
        while jobs and jobs[0].served is served:
            if parts and rows + jobs[0].height > most:
                break
            job = jobs.popleft()
            self._small.taken(job, job.height)
            rows += job.height
            parts.append(Part(job, 0, job.height))
        return parts

    def _most(self, served: LoadedRelease) -> int:
        """Tell how many rows a batch may hold. What it costs without any is no reason for fewer."""
        return max(1, min(ROWS, int(self._turn_seconds / served.wait.each)))

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
                self._give_up(*outcome)
        if self._small.jobs or self._large.jobs:
            self._open()
        else:
            self._running = False

    def _give_up(self, part: Part, error: BaseException) -> None:
        job = part.job
        if self._large.jobs and self._large.jobs[0] is job:
            self._large.jobs.popleft()
            self._large.taken(job, job.height - job.given)
        if not job.future.done():
            said = f"{error}"
            if not isinstance(error, HookRunError):
                said = f"{job.served.release.id} cannot score this: {said}"
            failed = ScoringError(said)
            failed.__cause__ = error
            job.future.set_exception(failed)


def _deliver(scored: Scored) -> None:
    values = scored.predictions.tolist()
    defaults = scored.table.by_row()
    place = 0
    for job, start, stop in scored.parts:
        end = place + stop - start
        job.add(values[place:end], None if defaults is None else defaults[place:end])
        place = end
        if stop == job.height and not job.future.done():
            job.future.set_result(None)
