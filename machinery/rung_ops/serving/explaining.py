"""Explain predictions on request, in another thread than the scoring."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs

import msgspec
import polars as pl

from rung_ops.model.reasons import CannotExplainError, Reason, Reasons
from rung_ops.model.released import Release
from rung_ops.model.rows import Refusal, by_row
from rung_ops.project.service_settings import ReasonSettings
from rung_ops.serving.batching import Job, Scored
from rung_ops.serving.hooks import ScoringError

PARAMETER = "explain"
BEFORE = "changed by the hook before_prediction"
MAX_WAITING = 20  # requests of the largest size that may wait to be explained

# Logs a batch, with the reasons of its rows; None if they could not be found.
Record = Callable[[Scored, list[list[Reason]] | None], None]


def is_requested(query: bytes) -> bool:
    """Return whether the query of a request asks for reasons."""
    values = parse_qs(query.decode("latin-1"), keep_blank_values=True).get(PARAMETER, ["false"])
    if values[-1] not in ("true", "false"):
        raise Refusal(400, f"{PARAMETER}: got {values[-1][:20]!r}; expected true or false")
    return values[-1] == "true"


class Explainer:
    """Finds the reasons of scored jobs; used on the event loop alone."""

    def __init__(self, settings: ReasonSettings, record: Record) -> None:
        self._settings = settings
        self._record = record
        self._waiting = 0  # rows
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="explain")

    def admit(self, release: Release, rows: int) -> None:
        """Check that the rows of a new request can be explained."""
        if isinstance(release.reasons, str):
            raise Refusal(400, f"{release.id} gives no reasons: {release.reasons}.")
        most = self._settings.max_rows
        if rows > most:
            raise Refusal(413, f"Reasons are given for at most {most:,} rows; got {rows:,}.")
        if self._waiting + rows > MAX_WAITING * most:
            message = f"Too busy: {self._waiting:,} rows wait to be explained already."
            raise Refusal(503, f"{message} Try again in a moment.", retry_after=1)

    def submit(self, scored: Scored, reasons: Reasons) -> None:
        """Explain a batch that holds rows of one job."""
        ((job, start, stop),) = scored.parts
        self._waiting += stop - start
        running = asyncio.get_running_loop().run_in_executor(
            self._thread, _of_answers, scored, reasons, self._settings.count
        )
        running.add_done_callback(lambda done: self._finish(scored, job, stop, done))

    def close(self) -> None:
        """Stop the thread; nothing may wait."""
        self._thread.shutdown(wait=True)

    def _finish(
        self, scored: Scored, job: Job, stop: int, done: asyncio.Future[list[list[Reason]]]
    ) -> None:
        self._waiting -= len(scored.predictions)
        error = done.exception()
        reasons = None if error is not None else done.result()
        try:
            self._record(scored, reasons)
        except Exception as failed:
            self.fail(job, failed)
            raise
        assert job.explained is not None and job.reasons is not None
        job.reasons += reasons or []
        if error is not None:
            self.fail(job, error)
        elif stop == job.height and not job.explained.done():
            job.explained.set_result(None)

    @staticmethod
    def fail(job: Job, error: BaseException) -> None:
        """Let a job fail if it waits for its reasons."""
        if job.explained is None or job.explained.done():
            return
        message = f"{error}" if isinstance(error, CannotExplainError) else f"{error!r}"
        failed = ScoringError(f"{job.served.release.id} cannot explain this: {message}")
        failed.__cause__ = error
        job.explained.set_exception(failed)


def _of_answers(scored: Scored, reasons: Reasons, count: int) -> list[list[Reason]]:
    """Find the reasons of what is answered, hooks included."""
    assert isinstance(scored.features, pl.DataFrame), "it was scored as one"
    strongest = reasons.strongest(scored.features, count, scored.predictions)
    hooked = by_row(scored.hooked, len(scored.predictions))
    if hooked is None:
        return strongest
    return [
        [
            msgspec.structs.replace(reason, text=f"{reason.text}, {BEFORE}")
            if set(reason.columns) & set(changed)
            else reason
            for reason in of_row
        ]
        for of_row, changed in zip(strongest, hooked, strict=True)
    ]
