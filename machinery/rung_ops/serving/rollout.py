"""Bringing a release to everybody step by step, and back at once where it does not hold.

Each replica of the service judges what it has answered itself. The state's generation sees to it
that no two of them move it from the same point: the first one does, the others look again.
"""

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from rung_ops.release import state as states
from rung_ops.release.state import BadState, Canary, Refused, Shadow, State
from rung_ops.serving.policy import Policy
from rung_ops.serving.rollout_verdict import Verdict, shadow_verdict, verdict
from rung_ops.serving.traffic_split import TrafficSplit
from rung_ops.serving.trial_figures import Comparison, Trial
from rung_ops.system.locks import LockTimeoutError

LOG = logging.getLogger("service")

BY = "service"


class Rollout:
    """Watches the release on trial and moves the state of the environment.

    Attributes:
        last: the last verdict, for people to read; None while nothing is on trial.
    """

    def __init__(
        self, folder: Path, policy: Policy | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Watch.

        Args:
            folder: the environment's, from rung_ops.release.paths.
            policy: the team's; None where nothing takes over by itself.
            clock: tells seconds; another one for tests.
        """
        self.last: Verdict | None = None
        self._folder = folder
        self._policy = policy
        self._clock = clock
        self._watched: object = None
        self._began = 0.0
        self._said = ""
        self._trial: Trial | None = None

    def arms(self, state: State) -> TrafficSplit:
        """Divide the keys as the state asks for."""
        if state.canary is None or self._policy is None:
            return TrafficSplit()
        steps = self._policy.canary.steps
        return TrafficSplit(state.canary.release, steps[min(state.canary.step, len(steps) - 1)])

    def observe(
        self, arm: str, seconds: Sequence[float], keys: Sequence[str], predictions: np.ndarray
    ) -> None:
        """Take in a batch that was answered; otherwise as Trial.observe()."""
        trial = self._trial  # step() may take it away from another thread
        if trial is not None:
            trial.observe(arm, seconds, keys, predictions)

    def fail(self, arm: str, requests: int = 1) -> None:
        """Take in requests that the release of an arm could not answer."""
        trial = self._trial
        if trial is not None:
            trial.fail(arm, requests)

    def step(self, state: State, compared: Comparison | None = None) -> State:
        """Judge what is on trial, and act.

        Args:
            state: of the environment, as the service follows it.
            compared: what the shadow has found, where there is one.

        Returns:
            The state after it: another one where something was decided.
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
        """Send back a release on trial that cannot be loaded."""
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
        self.last = verdict(self._trial.serving, self._trial.canary, policy, self._seconds())
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
        except Refused:  # somebody else was faster: what they did is looked at next
            return state
        except (BadState, LockTimeoutError, OSError) as error:
            if str(error) != self._said:
                LOG.error("%s: the rollout is stuck: %s", self._folder.name, error)
            self._said = str(error)
            return state
        tried = (
            f"step {moved.canary.step} of {moved.canary.release}" if moved.canary else "no canary"
        )
        why = f": {self.last.reason}" if self.last else ""
        LOG.warning("%s serves %s, %s%s", self._folder.name, moved.serving, tried, why)
        return moved

    def _watch(self, what: object) -> None:
        """Start anew when something else is on trial; what it answered before says nothing."""
        if what != self._watched:
            self._watched, self._began, self._trial, self.last = what, self._clock(), None, None

    def _seconds(self) -> float:
        return self._clock() - self._began
