"""The service: which releases it holds, whether it answers, and what becomes of scored batches.

All of it lives on the event loop; another thread hands over through install().
"""

import itertools
import math
import secrets
import time
from collections.abc import Sequence

from rung_ops.model.reasons import Reason, Reasons
from rung_ops.model.rows import Refusal, by_row
from rung_ops.model.target import numbers
from rung_ops.prediction_log import Batch, now
from rung_ops.project.service_settings import WHERE_ASKED, Limits, ReasonSettings
from rung_ops.release.history import Stopped
from rung_ops.serving.access import EVERYBODY, Access
from rung_ops.serving.batching import Batcher, Scored
from rung_ops.serving.explaining import Explainer
from rung_ops.serving.hooks import NO_HOOKS, ServiceHooks
from rung_ops.serving.loaded_release import HeldReleases, LoadedRelease
from rung_ops.serving.log_writer import PredictionLog
from rung_ops.serving.metrics import Metrics
from rung_ops.serving.rollout import Rollout, TrafficSplit
from rung_ops.serving.shadow import Offer

# Seconds after draining in which it ends, with `drain_seconds` of 1 within the 10 that platforms give;
# and those of them for what the shadow scores, and for the rows that are not written yet.
CLOSE, SHADOW_CLOSE, LOG_CLOSE = 8.0, 0.5, 5.0
UNWRITTEN = ""  # in place of the history line of a stop that is not written down yet


class Service:
    """One process that answers for one environment."""

    def __init__(
        self,
        environment: str,
        limits: Limits,
        metrics: Metrics,
        rollout: Rollout,
        log: PredictionLog | None = None,
        hooks: ServiceHooks = NO_HOOKS,
        access: Access = EVERYBODY,
        reasons: ReasonSettings = WHERE_ASKED,
    ) -> None:
        self.access = access
        self.environment = environment
        self.limits = limits  # sizes, rows and seconds of [service] in ops/service.toml
        self.metrics = metrics
        self.rollout = rollout
        self.log = log
        self.held = HeldReleases()  # the releases in memory; replaced as a whole
        self.draining = False  # it is stopping, and still answers requests
        self._closes = math.inf  # monotonic seconds at which it has to have ended
        self._halts: dict[str, Stopped] = {}  # by the hash of the stop's line, or UNWRITTEN
        self.hooks = hooks
        self.batcher = Batcher(limits, self._record, hooks.scorer())
        self.reasons = reasons  # when and how predictions are explained
        self.explainer = Explainer(reasons, self._log_explained)
        self._arms = TrafficSplit()
        self.canary_has_same_columns = True  # as the serving release
        self._identities = map((secrets.token_hex(6) + "-{:x}").format, itertools.count(1))
        metrics.follow(log=log, queued=lambda: self.batcher.waiting)
        self._report_status()

    @property
    def ready(self) -> bool:
        """Return whether the service is ready; it answers requests in any case."""
        held = self.held
        answers = held.serving is not None and not self.stopped and not self.draining
        return answers and held.is_state_valid and not self.access.problem

    @property
    def stopped(self) -> Stopped | None:
        """Return who stopped the model, and why; None if it is not stopped."""
        return next(reversed(self._halts.values()), self.held.state.stopped)

    @property
    def halts(self) -> dict[str, Stopped]:
        """Return the stops that this process accepted, by the hash of their lines in the history."""
        return {line: stopped for line, stopped in self._halts.items() if line != UNWRITTEN}

    def identity(self) -> str:
        """Make an id that no other request has, of this process or another."""
        return next(self._identities)

    def install(self, held: HeldReleases) -> None:
        """Answer with other releases from now on; rows that wait are scored by the previous ones."""
        if self.held.shadow is not None and held.shadow is not self.held.shadow:
            self.held.shadow.close(0)
        self.held = held
        self._arms = TrafficSplit() if held.canary is None else self.rollout.arms(held.state)
        if held.canary is not None and held.serving is not None:
            columns = held.serving.reader.columns
            self.canary_has_same_columns = held.canary.reader.columns == columns
        lookups = [loaded.lookup for loaded in (held.serving, held.canary) if loaded is not None]
        online = next((lookup.online for lookup in lookups if lookup is not None), None)
        self.metrics.follow(shadow=held.shadow, lookups=online.metrics if online else None)
        if self.log is not None and online is not None:
            self.log.other_times = online.times.by_day
        self._report_status()

    def halt(self, stopped: Stopped, line: str = UNWRITTEN) -> None:
        """Refuse all requests, whatever the environment's state says, until end_halt() of the line.

        `line`: hash of the stop's line in the history.
        """
        self._halts[line] = stopped
        self._report_status()

    def end_halt(self, line: str = UNWRITTEN) -> None:
        """Refuse no longer because of the stop with this line."""
        self._halts.pop(line, None)
        self._report_status()

    def drain(self) -> None:
        """Become not ready, and still answer requests."""
        self.draining = True
        self._closes = time.monotonic() + self.limits.drain_seconds + CLOSE
        self._report_status()

    def close(self) -> None:
        """End the threads; no rows may be waiting."""
        self.batcher.close()
        self.explainer.close()
        if self.held.shadow is not None:
            self.held.shadow.close(SHADOW_CLOSE)
        if self.log is not None:
            self.log.close(max(1.0, min(LOG_CLOSE, self._closes - time.monotonic())))
            self.log.upload(max(1.0, min(CLOSE, self._closes - time.monotonic() - 1.0)))

    def answering(self) -> LoadedRelease:
        """Return the release that answers."""
        if stopped := self.stopped:
            raise Refusal(503, f"Stopped by {stopped.by} at {stopped.at}: {stopped.reason}")
        if self.held.serving is None:
            raise Refusal(503, f"No release is served: {self.advice}", retry_after=5)
        return self.held.serving

    @property
    def advice(self) -> str:
        """The reason why nothing is served, and what to do."""
        if self.held.problems:
            return " ".join(self.held.problems)
        return (
            f"nothing was deployed to {self.environment}. `uv run poe release` makes a release, "
            f"`uv run poe deploy {self.environment}` deploys a release."
        )

    def arm(self, key: str) -> LoadedRelease | None:
        """Return the canary if it answers the rows of a key."""
        if self._arms.choose(key) == "serving":
            return None
        return self.held.canary

    def _report_status(self) -> None:
        self.metrics.set_status(self.held.ids(), self.ready, self.stopped is not None)

    def _record(self, scored: Scored) -> None:
        """Count, log and compare a batch, once its answers are on their way."""
        try:
            self._record_batch(scored)
        except Exception as error:
            Explainer.fail(scored.parts[0].job, error)  # else it would wait for its reasons forever
            raise

    def _record_batch(self, scored: Scored) -> None:
        held = self.held  # those that answer now, which may be later ones than scored it
        job = scored.parts[0].job
        served = job.served
        end = time.perf_counter()
        # A request in parts counts once, with its last part.
        seconds = [end - job.arrived for job, _, stop in scored.parts if stop == job.height]
        batch = _batch(scored)
        self.metrics.observe_batch(served.arm, seconds, len(batch.ids), batch.defaults)
        if job.explained is not None and isinstance(served.release.reasons, Reasons):
            self.explainer.submit(scored, served.release.reasons)
        elif self.log is not None:
            self.log.add(batch)
        if held.canary is not None:
            single = numbers(batch.predictions, batch.kind)
            self.rollout.observe(served.arm, seconds, _keys(scored, batch.ids), single)
        if held.shadow is not None and served is held.serving:
            heights = [stop - start for _, start, stop in scored.parts]
            held.shadow.offer(
                Offer(
                    ids=batch.ids,
                    rows=batch.rows,
                    predictions=batch.predictions,
                    heights=heights,
                    defaults=batch.defaults,
                    sent=batch.sent,
                )
            )

    def _log_explained(self, scored: Scored, reasons: list[list[Reason]] | None) -> None:
        if self.log is not None:
            self.log.add(_batch(scored, reasons))


def _batch(scored: Scored, reasons: list[list[Reason]] | None = None) -> Batch:
    served = scored.parts[0].job.served
    ids = [name for job, start, stop in scored.parts for name in job.ids(start, stop)]
    sent = by_row(scored.sent, len(ids))
    if sent is None and served.lookup is not None:
        sent = [[] for _ in ids]  # all files of a release have the same columns
    return Batch(
        time=now(),
        ids=ids,
        release=served.release.id,
        arm=served.arm,
        rows=scored.rows,
        features=scored.features,
        predictions=scored.predictions,
        defaults=scored.defaults(),
        reasons=reasons,
        kind=served.release.kind,
        sent=sent,
    )


def _keys(scored: Scored, ids: Sequence[str]) -> list[str]:
    """Return the routing key of each row: that of the caller, or else the key of the row."""
    keys = [job.key for job, start, stop in scored.parts for _ in range(start, stop)]
    return [key or identity for key, identity in zip(keys, ids, strict=True)]
