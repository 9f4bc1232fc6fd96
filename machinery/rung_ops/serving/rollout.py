"""Roll a release out step by step, and roll it back at once if it is worse.

Each replica of the service judges its own requests. The generation of the state ensures that only
one replica takes each step: the first one does, the others read the state again.
"""

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from rung_ops.release import state as states
from rung_ops.release.rollout import (
    Comparison,
    Policy,
    Trial,
    Verdict,
    canary_verdict,
    shadow_verdict,
)
from rung_ops.release.state import Canary, ChangeRefusedError, Shadow, State, StateError
from rung_ops.serving.traffic_split import TrafficSplit
from rung_ops.system.locks import LockTimeoutError

LOG = logging.getLogger("service")

BY = "service"


class Rollout:
    """Judges the canary or the shadow, and changes the state of the environment.

    Attributes:
        last: the last verdict; None without a canary or shadow.
    """

    def __init__(
        self, folder: Path, policy: Policy | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Set the environment and the policy.

        Args:
            folder: of the environment.
            policy: of ops/rollout.toml; None if no release is promoted automatically.
            clock: returns seconds; replaced in tests.
        """
        self.last: Verdict | None = None
        self._folder = folder
        self._policy = policy
        self._clock = clock
        self._watched: object = None
        self._began = 0.0
        self._logged = ""
        self._trial: Trial | None = None

    def arms(self, state: State) -> TrafficSplit:
        """Return the traffic split of a state."""
        if state.canary is None or self._policy is None:
            return TrafficSplit()
        steps = self._policy.canary.steps
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
        if self._policy is None or state.stopped or state.serving is None:
            self._watch(None)
            return state
        if state.canary is not None:
            return self._step_of_canary(state, state.canary, self._policy)
        if state.shadow is not None:
            return self._step_of_shadow(state, state.shadow, self._policy, compared)
        self._watch(None)
        return state

    def unloadable(self, state: State, release: str, reason: str) -> State:
        """Abort a canary or shadow that cannot be loaded."""
        on_trial = {each.release for each in (state.canary, state.shadow) if each is not None}
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
        return moved

    def _watch(self, what: object) -> None:
        """Reset the trial when another canary or shadow starts."""
        if what != self._watched:
            self._watched, self._began, self._trial, self.last = what, self._clock(), None, None

    def _seconds(self) -> float:
        return self._clock() - self._began
