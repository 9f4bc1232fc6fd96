"""Roll a release out step by step, and abort it at once if it is worse.

Each replica of the service judges its own requests. The generation of the state ensures that only
one replica takes each step: the first one does, the others read the state again.
"""

import hashlib
import logging
import math
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Literal

import numpy as np

from rung_ops.project import hooks, release_folders
from rung_ops.release import state as states
from rung_ops.release.rollout import (
    Comparison,
    Policy,
    Trial,
    Verdict,
    canary_verdict,
    of_trial,
    shadow_verdict,
)
from rung_ops.release.state import Canary, ChangeRefusedError, Shadow, State, StateError
from rung_ops.system.locks import LockTimeoutError

LOG = logging.getLogger("service")

BY = "service"  # who changes the state, in the history
SPAN = 2**64  # of a key's hash

STEP = 1.0  # seconds between two checks of a canary or shadow
DRIVEN_STEP = 0.05  # seconds, where a replay drives the clock

Arm = Literal["serving", "canary"]


class TrafficSplit:
    """Divides keys between the serving release and a canary.

    A key that is with the canary at one share stays with it at every larger one. Another release
    gets other keys, so that it is not always the same callers who try what is new.
    """

    def __init__(self, canary: str | None = None, share: float = 0.0) -> None:
        """Give a release a share of the keys.

        Args:
            canary: id of the release on trial; None for none.
            share: of the keys that it answers, in [0, 1].
        """
        self.canary = canary
        self.share = share if canary else 0.0
        self._limit = int(self.share * SPAN)
        self._release = hashlib.sha256((canary or "").encode()).digest()

    def choose(self, key: str) -> Arm:
        """Return the arm that answers the rows of a key."""
        if not self._limit:
            return "serving"
        digest = hashlib.blake2b(key.encode(), digest_size=8, key=self._release).digest()
        return "canary" if int.from_bytes(digest, "big") < self._limit else "serving"


class Rollout:
    """Judges the canary or the shadow, and changes the state of the environment.

    Attributes:
        last: the last verdict; None without a canary or shadow.
        judged: seconds since 1970 when it was last asked for a verdict.
        pause: seconds until the next one.
    """

    def __init__(
        self, folder: Path, policy: Policy | None, clock: Callable[[], float] = states.clock
    ) -> None:
        """Set the environment and the policy.

        Args:
            folder: of the environment.
            policy: of ops/rollout.toml; None if no release is promoted automatically.
            clock: returns seconds since 1970; replaced in tests.
        """
        self.last: Verdict | None = None
        self.judged = 0.0
        self.pause = DRIVEN_STEP if states.CLOCK in os.environ else STEP
        self._folder = folder
        self._policy = policy
        self._clock = clock
        self._watched: object = None
        self._began = self._now = 0.0
        self._logged = ""
        self._trial: Trial | None = None

    def arms(self, state: State) -> TrafficSplit:
        """Return the traffic split of a state."""
        if state.canary is None or self._policy is None:
            return TrafficSplit()
        steps = of_trial(self._policy, state.canary.plan).canary.steps
        return TrafficSplit(state.canary.release, steps[min(state.canary.step, len(steps) - 1)])

    def observe(
        self, arm: str, seconds: Sequence[float], keys: Sequence[str], predictions: np.ndarray
    ) -> None:
        """Record an answered batch; see Trial.observe()."""
        trial = self._trial  # step() may replace it in another thread
        if trial is not None:
            trial.observe(arm, seconds, keys, predictions)

    def fail(self, arm: str, requests: int = 1) -> None:
        """Record requests that the release of an arm failed to answer."""
        trial = self._trial
        if trial is not None:
            trial.fail(arm, requests)

    def step(self, state: State, compared: Comparison | None = None) -> State:
        """Judge the canary or the shadow, and advance, promote or abort it.

        Args:
            state: of the environment, as the service follows it.
            compared: the comparison of the shadow, if there is one.

        Returns:
            The new state, or the same one if nothing was decided.
        """
        try:
            return self._step(state, compared)
        finally:
            self.judged = self._now

    def _step(self, state: State, compared: Comparison | None) -> State:
        self._now = self._clock()
        if self._policy is None or state.stopped or state.serving is None:
            self._watch(None)
            return state
        if state.canary is not None:
            policy = of_trial(self._policy, state.canary.plan)
            return self._step_of_canary(state, state.canary, policy)
        if state.shadow is not None:
            policy = of_trial(self._policy, state.shadow.plan)
            return self._step_of_shadow(state, state.shadow, policy, compared)
        self._watch(None)
        return state

    def unloadable(self, state: State, release: str, reason: str) -> State:
        """Abort a canary or shadow that cannot be loaded."""
        on_trial = {trial.release for trial in (state.canary, state.shadow) if trial is not None}
        if self._policy is None or release not in on_trial:
            return state
        return self._abort(state, release, f"it cannot be loaded: {reason}")

    def _step_of_canary(self, state: State, canary: Canary, policy: Policy) -> State:
        steps = policy.canary.steps

        def last(step: int) -> bool:
            return step >= len(steps) or steps[step] >= 1

        self._watch(canary)
        if last(canary.step):
            return self._act(partial(states.promote, self._folder, BY), state)
        if self._trial is None:
            self._trial = Trial(policy.slow)
        self.last = canary_verdict(self._trial.serving, self._trial.canary, policy, self._seconds())
        if self.last.action == "abort":
            return self._abort(state, canary.release, self.last.reason)
        if self.last.action == "wait":
            return state
        move = states.promote if last(canary.step + 1) else states.advance
        return self._act(partial(move, self._folder, BY), state)

    def _step_of_shadow(
        self, state: State, shadow: Shadow, policy: Policy, compared: Comparison | None
    ) -> State:
        self._watch(shadow)
        if compared is None:
            return state
        self.last = shadow_verdict(compared, policy, self._seconds())
        if self.last.action == "abort":
            return self._abort(state, shadow.release, self.last.reason)
        if self.last.action == "wait":
            return state
        return self._act(partial(states.canary, self._folder, shadow.release, BY), state)

    def _abort(self, state: State, release: str, reason: str) -> State:
        return self._act(partial(states.abort, self._folder, reason, BY, release=release), state)

    def _act(self, move: Callable[[int], State], state: State) -> State:
        try:
            moved = move(state.generation)
        except ChangeRefusedError:  # another process was faster; the next poll reads its change
            return state
        except (StateError, LockTimeoutError, OSError) as error:
            if str(error) != self._logged:
                LOG.error("%s: the rollout cannot continue: %s", self._folder.name, error)
            self._logged = str(error)
            return state
        canary = (
            f"step {moved.canary.step} of {moved.canary.release}" if moved.canary else "no canary"
        )
        reason = f": {self.last.reason}" if self.last else ""
        LOG.warning("%s serves %s, %s%s", self._folder.name, moved.serving, canary, reason)
        self._notify(state, moved)
        return moved

    def _notify(self, before: State, now: State) -> None:
        """Tell, off the serving thread, that a release that a person deployed was promoted or aborted."""
        for release in set(before.on_trial) - set(now.on_trial):
            if self._is_of_autopilot(release):
                continue  # its next pass tells of it
            subject = f"{release} was {'promoted' if now.serving == release else 'aborted'}"
            reason = self.last.reason if self.last else f"see the history of {self._folder.name}"
            Thread(
                target=hooks.notify, args=(subject, f"{subject}: {reason}."), daemon=True
            ).start()

    def _is_of_autopilot(self, release: str) -> bool:
        try:
            events = [
                each for each in states.events(self._folder) if states.concerns(each, release)
            ]
        except (StateError, OSError):
            return False
        return any(each["by"] == release_folders.AUTOPILOT for each in events)

    def _watch(self, what: Canary | Shadow | None) -> None:
        """Reset the trial when another canary or shadow starts."""
        if what != self._watched:
            self._watched, self._trial, self.last = what, None, None
            # A service that starts again has lost what it has seen, not the time.
            self._began = min(self._now, _began(what))

    def _seconds(self) -> float:
        return self._now - self._began


def _began(trial: Canary | Shadow | None) -> float:
    """Return when a stage began, in seconds since 1970; infinite if that is not known."""
    try:
        return datetime.fromisoformat(trial.since or "").timestamp() if trial else math.inf
    except ValueError:
        return math.inf
