"""What becomes of a scored batch, once its answers are on their way: metrics, log and comparisons."""

import time
from collections.abc import Sequence

from rung_ops.model.reasons import Reason, Reasons
from rung_ops.model.target import numbers
from rung_ops.project.service_settings import ReasonSettings
from rung_ops.serving.explaining import Explainer
from rung_ops.serving.held_releases import HeldReleases
from rung_ops.serving.jobs import Scored
from rung_ops.serving.log_queue import PredictionLog
from rung_ops.serving.metrics import Metrics
from rung_ops.serving.rollout import Rollout


class BatchRecorder:
    """Counts, logs and compares batches, on the event loop.

    Attributes:
        explainer: finds the reasons of rows where they are asked for; those rows are logged then.
    """

    def __init__(
        self,
        metrics: Metrics,
        rollout: Rollout,
        log: PredictionLog | None,
        reasons: ReasonSettings,
    ) -> None:
        """Wait for a batch.

        Args:
            metrics, rollout, log: where what was answered is counted, judged and kept.
            reasons: when and how predictions are explained.
        """
        self._metrics = metrics
        self._rollout = rollout
        self._log = log
        self.explainer = Explainer(reasons, self._log_explained)

    def record(self, scored: Scored, held: HeldReleases) -> None:
        """Count, log and compare a batch.

        Args:
            scored: the batch.
            held: the releases that answer now, which may be later ones than scored it.
        """
        try:
            self._note(scored, held)
        except Exception as error:
            Explainer.fail(scored.parts[0].job, error)  # it would wait for its reasons for ever
            raise

    def _note(self, scored: Scored, held: HeldReleases) -> None:
        job = scored.parts[0].job
        served = job.served
        now = time.perf_counter()
        # A request in parts counts once, with its last part.
        seconds = [now - job.arrived for job, _, stop in scored.parts if stop == job.height]
        ids = _ids(scored)
        defaults, sent = scored.defaults(), _sent(scored, ids)
        predictions = scored.predictions
        self._metrics.observe_batch(served.arm, seconds, len(ids), defaults)
        if job.explained is not None and isinstance(served.release.reasons, Reasons):
            self.explainer.submit(scored, served.release.reasons)
        else:
            self._write(scored, ids, defaults, sent)
        if held.canary is not None:
            one = numbers(predictions, served.release.kind)
            self._rollout.observe(served.arm, seconds, _keys(scored, ids), one)
        if held.shadow is not None and served is held.serving:
            held.shadow.offer(ids, scored.rows, predictions, defaults, sent)

    def _log_explained(self, scored: Scored, reasons: list[list[Reason]] | None) -> None:
        ids = _ids(scored)
        self._write(scored, ids, scored.defaults(), _sent(scored, ids), reasons)

    def _write(
        self,
        scored: Scored,
        ids: list[str],
        defaults: list[list[str]] | None,
        sent: list[list[str]] | None,
        reasons: list[list[Reason]] | None = None,
    ) -> None:
        if self._log is not None:
            served = scored.parts[0].job.served
            self._log.add(
                *(ids, served.release.id, served.arm, scored.rows, scored.features),
                *(scored.predictions, defaults, reasons, served.release.kind, sent),
            )


def _ids(scored: Scored) -> list[str]:
    return [name for job, start, stop in scored.parts for name in job.ids(start, stop)]


def _sent(scored: Scored, ids: list[str]) -> list[list[str]] | None:
    """Name the columns of each row that the caller sent though they are looked up."""
    sent = scored.sent_by_row()
    if sent is None and scored.parts[0].job.served.lookup is not None:
        return [[] for _ in ids]  # all files of a release have the same columns
    return sent


def _keys(scored: Scored, ids: Sequence[str]) -> list[str]:
    """Return the routing key of each row: that of the caller, or else the key of the row."""
    keys = [job.key for job, start, stop in scored.parts for _ in range(start, stop)]
    return [key or identity for key, identity in zip(keys, ids, strict=True)]
