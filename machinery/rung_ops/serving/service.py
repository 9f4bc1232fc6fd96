"""What the service is doing now: which releases it holds, what waits, and whether it answers.

All of it lives on the event loop; another thread hands over through install().
"""

import asyncio
import itertools
import secrets

from rung_ops.model.rows import Refusal
from rung_ops.project.service_settings import WHERE_ASKED, Limits, ReasonSettings
from rung_ops.release.state import Stopped
from rung_ops.serving.access import EVERYBODY, Access
from rung_ops.serving.batch_recorder import BatchRecorder
from rung_ops.serving.batching import Batcher
from rung_ops.serving.held_releases import HeldReleases
from rung_ops.serving.hooks import NO_HOOKS, ServiceHooks
from rung_ops.serving.jobs import Scored
from rung_ops.serving.loaded_release import LoadedRelease
from rung_ops.serving.log_queue import PredictionLog
from rung_ops.serving.metrics import Metrics
from rung_ops.serving.rollout import Rollout
from rung_ops.serving.traffic_split import TrafficSplit


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
        self.batcher = Batcher(limits, self._record, hooks.scorer())
        self.reasons = reasons
        self._recorder = BatchRecorder(metrics, rollout, log, reasons)
        self.explainer = self._recorder.explainer
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
        """Refuse all requests, independent of the environment's state, until called with None."""
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

    def _record(self, scored: Scored) -> None:
        self._recorder.record(scored, self.held)
