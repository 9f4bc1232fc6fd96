"""What the service is doing now: which releases it holds, what waits, and whether it answers.

All of it lives on the event loop; another thread hands over through install().
"""

import asyncio
import itertools
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

from rung_ops.predictions import numbers
from rung_ops.release.state import State, Stopped
from rung_ops.serving.access import EVERYBODY, Access
from rung_ops.serving.batching import Batcher
from rung_ops.serving.explaining import Explainer
from rung_ops.serving.hooks import NO_HOOKS, ServiceHooks
from rung_ops.serving.jobs import Scored
from rung_ops.serving.loaded_release import LoadedRelease
from rung_ops.serving.log_queue import PredictionLog
from rung_ops.serving.metrics import Metrics
from rung_ops.serving.reasons import Reason, Reasons
from rung_ops.serving.refusal import Refusal
from rung_ops.serving.rollout import Rollout
from rung_ops.serving.settings import WHERE_ASKED, Limits, ReasonSettings
from rung_ops.serving.shadow import Shadow
from rung_ops.serving.traffic_split import TrafficSplit


@dataclass(frozen=True)
class HeldReleases:
    """The loaded releases of an environment's state.

    Attributes:
        state: of the environment, as it was read last.
        serving: the release that answers; None while there is none.
        canary: the release that answers some requests.
        shadow: the release in shadow.
        problems: what is wrong, in words; empty where all is as the state asks for.
        is_state_valid: state and history of the environment are what the commands have written.
    """

    state: State = State()
    serving: LoadedRelease | None = None
    canary: LoadedRelease | None = None
    shadow: Shadow | None = None
    problems: tuple[str, ...] = ()
    is_state_valid: bool = True


class Service:
    """One process that answers for one environment.

    Attributes:
        environment: its name.
        limits: what it takes in.
        held: what it holds; replaced as a whole.
        metrics, rollout, log: where what was answered is counted, judged and kept.
        draining: it is stopping, and still answers requests.
        hooks: the project's.
        access: who is answered.
        batcher: what scores.
        reasons: when and how predictions are explained.
        explainer: what explains.
    """

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
        """Start with nothing to serve."""
        self.access = access
        self.environment = environment
        self.limits = limits
        self.metrics = metrics
        self.rollout = rollout
        self.log = log
        self.held = HeldReleases()
        self.draining = False
        self._halted: Stopped | None = None
        self.hooks = hooks
        self.batcher = Batcher(limits, self._report, hooks.scorer())
        self.reasons = reasons
        self.explainer = Explainer(reasons, self._log_explained)
        self._arms = TrafficSplit()
        self._alike = True  # the canary asks for the same columns as the serving release
        self._identities = map((secrets.token_hex(6) + "-{:x}").format, itertools.count(1))
        metrics.follow(log=log, queued=lambda: self.batcher.waiting)
        self._tell()

    @property
    def ready(self) -> bool:
        """Return whether the service is ready; it answers requests in any case."""
        held = self.held
        answers = held.serving is not None and not self.stopped and not self.draining
        return answers and held.is_state_valid and not self.access.problem

    @property
    def stopped(self) -> Stopped | None:
        """Tell who wants that nothing is answered, and why; None if it is."""
        return self._halted or self.held.state.stopped

    def future(self) -> asyncio.Future[None]:
        """Make a future of the running event loop."""
        return asyncio.get_running_loop().create_future()

    def identity(self) -> str:
        """Make an id that no other request has, of this process or another."""
        return next(self._identities)

    def install(self, held: HeldReleases) -> None:
        """Answer with other releases from now on; what waits is answered by those before."""
        if self.held.shadow is not None and held.shadow is not self.held.shadow:
            self.held.shadow.close(0)
        self.held = held
        self._arms = TrafficSplit() if held.canary is None else self.rollout.arms(held.state)
        if held.canary is not None and held.serving is not None:
            self._alike = held.canary.reader.columns == held.serving.reader.columns
        lookups = [each.lookup for each in (held.serving, held.canary) if each is not None]
        online = next((lookup.online for lookup in lookups if lookup is not None), None)
        self.metrics.follow(shadow=held.shadow, lookups=online)
        self._tell()

    def halt(self, stopped: Stopped | None) -> None:
        """Answer nothing whatever the state of the environment says, until called with None."""
        self._halted = stopped
        self._tell()

    def drain(self) -> None:
        """Become not ready, and still answer requests."""
        self.draining = True
        self._tell()

    def close(self) -> None:
        """End the threads; nothing may wait any more."""
        self.batcher.close()
        self.explainer.close()
        if self.held.shadow is not None:
            self.held.shadow.close()
        if self.log is not None:
            self.log.close()

    def answering(self) -> LoadedRelease:
        """Give the release that answers.

        Raises:
            Refusal: nothing does at present; the message says why.
        """
        if stopped := self.stopped:
            raise Refusal(503, f"Stopped by {stopped.by} at {stopped.at}: {stopped.reason}")
        if self.held.serving is None:
            raise Refusal(503, f"No release is served: {self.advice}", retry_after=5)
        return self.held.serving

    @property
    def advice(self) -> str:
        """Say why nothing is served, and what to do."""
        if self.held.problems:
            return " ".join(self.held.problems)
        return (
            f"nothing was deployed to {self.environment}. `uv run poe release` makes a release, "
            f"`uv run poe deploy {self.environment}` deploys a release."
        )

    def arm(self, key: str) -> LoadedRelease | None:
        """Give the canary where it answers the rows of a key."""
        if self._arms.choose(key) == "serving":
            return None
        return self.held.canary

    @property
    def alike(self) -> bool:
        """Return whether the canary has the same columns as the serving release."""
        return self._alike

    def _tell(self) -> None:
        held = self.held
        arms = {"serving": held.serving, "canary": held.canary}
        releases = {arm: loaded.release.id for arm, loaded in arms.items() if loaded is not None}
        if held.shadow is not None:
            releases["shadow"] = held.shadow.release.id
        self.metrics.set_status(releases, self.ready, self.stopped is not None)

    def _report(self, scored: Scored) -> None:
        """Count, log and compare a batch, after its answers are on their way."""
        try:
            self._note(scored)
        except Exception as error:
            Explainer.fail(scored.parts[0].job, error)  # it would wait for its reasons for ever
            raise

    def _note(self, scored: Scored) -> None:
        job = scored.parts[0].job
        served = job.served
        now = time.perf_counter()
        # A request in parts counts once, with its last part.
        seconds = [now - job.arrived for job, _, stop in scored.parts if stop == job.height]
        ids = _ids(scored)
        defaults, sent = scored.defaults(), _sent(scored, ids)
        predictions = scored.predictions
        self.metrics.observe_batch(served.arm, seconds, len(ids), defaults)
        if job.explained is not None and isinstance(served.release.reasons, Reasons):
            self.explainer.submit(scored, served.release.reasons)
        else:
            self._log(scored, ids, defaults, sent)
        if self.held.canary is not None:
            one = numbers(predictions, served.release.kind)
            self.rollout.observe(served.arm, seconds, _keys(scored, ids), one)
        if self.held.shadow is not None and served is self.held.serving:
            self.held.shadow.offer(ids, scored.rows, predictions, defaults, sent)

    def _log_explained(self, scored: Scored, reasons: list[list[Reason]] | None) -> None:
        ids = _ids(scored)
        self._log(scored, ids, scored.defaults(), _sent(scored, ids), reasons)

    def _log(
        self,
        scored: Scored,
        ids: list[str],
        defaults: list[list[str]] | None,
        sent: list[list[str]] | None,
        reasons: list[list[Reason]] | None = None,
    ) -> None:
        if self.log is not None:
            served = scored.parts[0].job.served
            self.log.add(
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
