"""Roll a release out step by step, and abort it at once if it is worse.

Each process of the service judges what all of them have answered. The generation of the state ensures
that only one takes each step: the first one does, the others read the state again.
"""

import hashlib
import logging
import math
import os
import shutil
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Literal, TypeVar

import msgspec
import numpy as np

from rung_ops import prediction_log
from rung_ops.prediction_log import sealed
from rung_ops.project import hooks, paths
from rung_ops.release import state as states
from rung_ops.release.history import Canary, ChangeRefusedError, Shadow, State, StateError
from rung_ops.release.rollout import (
    Comparison,
    Policy,
    Trial,
    TrialVerdict,
    canary_verdict,
    of_trial,
    shadow_verdict,
)
from rung_ops.system import files
from rung_ops.system.files import LockTimeoutError, UnusableFileError, read_regular, stamp
from rung_ops.system.patience import without_retries

LOG = logging.getLogger("service")

BY = "service"  # who changes the state, in the history
SPAN = 2**64  # of a key's hash

STEP = 1.0  # seconds between two checks of a canary or shadow
DRIVEN_STEP = 0.05  # seconds, where a replay drives the clock

MAX_BYTES = 64_000_000  # of a file of evidence: some hundred kilobytes, of 100 classes 32 megabytes

Arm = Literal["serving", "canary"]
Stamp = tuple[int, int, int]
Seen = TypeVar("Seen", Trial, Comparison)


class TrafficSplit:
    """Divides keys between the serving release and a canary.

    A key that is with the canary at one share stays with it at every larger one. Another release
    gets other keys, so that it is not always the same callers who try what is new.
    """

    def __init__(self, canary: str | None = None, share: float = 0.0) -> None:
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


class Evidence:
    """Adds up what processes have seen at one stage of a trial, in a folder that they share.

    They are replicas, workers of one service, and those that have ended: each writes a file, so a
    restart loses nothing. A file holds counts, times, and predictions by the hash of their key; with
    LOG_KEYS it is encrypted, like the log.
    """

    def __init__(self, environment: Path) -> None:
        self._folder = environment / "evidence"
        self._writer = prediction_log.writer_name()
        self._stage = self._folder
        self._written = b""
        # What others have written, by file: that of processes that have ended changes no more.
        self._read: dict[Path, tuple[Stamp, Trial | Comparison]] = {}

    def begin(self, stage: str | None) -> None:
        """Start to gather for a stage, which all processes name alike; what others gathered is removed."""
        name = hashlib.sha256(stage.encode()).hexdigest()[:16] if stage is not None else ""
        self._stage, self._written = self._folder / name, b""
        self._read.clear()
        for folder in self._folder.glob("*"):
            if folder != self._stage:
                shutil.rmtree(folder, ignore_errors=True)

    def added(self, own: Seen) -> Seen:
        """Write what this process has seen, and return it with what all others have written.

        Raises:
            OSError: it cannot be written, or is too large for others to read.
        """
        content, path = msgspec.msgpack.encode(own), self._stage / self._writer
        if content != self._written or not path.exists():
            files.private_folder(self._folder)
            files.private_folder(self._stage)
            file = sealed.seal(content)
            if len(file) > MAX_BYTES:
                raise UnusableFileError(f"{path} would be larger than {MAX_BYTES:,} bytes")
            with files.writing(path, private=True) as draft:
                draft.write_bytes(file)
            self._written = content
        for other in sorted(self._stage.glob("w*")):
            if other != path:
                try:
                    own = own + self._evidence_of(other, type(own))
                except (OSError, ValueError):  # another version wrote it, or it is being removed
                    continue
        return own

    def _evidence_of(self, file: Path, kind: type[Seen]) -> Seen:
        now = stamp(file)
        before, seen = self._read.get(file, (None, None))
        if before == now and isinstance(seen, kind):
            return seen
        content = sealed.unseal(read_regular(file, MAX_BYTES), file)
        made = msgspec.msgpack.decode(content, type=kind)
        self._read[file] = now, made
        return made


class Rollout:
    """Judges the canary or the shadow, and changes the state of the environment."""

    def __init__(
        self, folder: Path, policy: Policy | None, clock: Callable[[], float] = states.clock
    ) -> None:
        self.last: TrialVerdict | None = None  # the last verdict; None without a canary or shadow
        self.judged = 0.0  # seconds since 1970 when it was last asked for a verdict
        # Seconds until the next one.
        self.pause = DRIVEN_STEP if states.CLOCK in os.environ else STEP
        self._folder = folder
        self._policy = policy
        self._clock = clock
        self._watched: object = None
        self._compared: object = None  # the same, with the release that it is compared with
        self._began = 0.0
        self._logged: set[str] = set()
        self._trial: Trial | None = None
        self._evidence = Evidence(folder)

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
        """Judge the canary or the shadow, and advance, promote or abort it; return the new state."""
        self.judged = self._clock()
        trial = state.canary or state.shadow
        if self._policy is None or state.stopped or state.serving is None or trial is None:
            self._watch(None, None)
            return state
        self._watch(trial, state.serving)
        policy = of_trial(self._policy, trial.plan)
        if isinstance(trial, Canary):
            return self._step_of_canary(state, trial, policy)
        if compared is None:
            return state
        verdict = shadow_verdict(self._added(compared), policy, self.judged - self._began)
        move = partial(states.canary, self._folder, trial.release, BY)
        return self._follow(verdict, state, trial.release, move)

    def _step_of_canary(self, state: State, canary: Canary, policy: Policy) -> State:
        steps = policy.canary.steps

        def last(step: int) -> bool:
            return step >= len(steps) or steps[step] >= 1

        promote = partial(states.promote, self._folder, BY)
        if last(canary.step):
            return self._act(promote, state)
        if self._trial is None:
            self._trial = Trial(policy.slow)
        seen = self._added(self._trial)
        verdict = canary_verdict(seen.serving, seen.canary, policy, self.judged - self._began)
        advance = partial(states.advance, self._folder, BY)
        move = promote if last(canary.step + 1) else advance
        return self._follow(verdict, state, canary.release, move)

    def _added(self, own: Seen) -> Seen:
        """Return what all processes have seen; where they share no folder, what this one has."""
        try:
            return self._evidence.added(own)
        except OSError as error:
            what = "evidence of the trial cannot be shared, so this process judges its own requests"
            self._report(what, error)
            return own

    def _report(self, what: str, error: Exception) -> None:
        """Log an error once at each stage."""
        if str(error) not in self._logged:
            LOG.error("%s: %s: %s", self._folder.name, what, error)
        self._logged.add(str(error))

    def _follow(
        self, verdict: TrialVerdict, state: State, release: str, move: Callable[..., State]
    ) -> State:
        self.last = verdict
        if verdict.action == "abort":
            return self._abort(state, release, verdict.reason)
        return state if verdict.action == "wait" else self._act(move, state)

    def unloadable(self, state: State, release: str, reason: str) -> State:
        """Abort a canary or shadow that cannot be loaded."""
        on_trial = {trial.release for trial in (state.canary, state.shadow) if trial is not None}
        if self._policy is None or release not in on_trial:
            return state
        return self._abort(state, release, f"it cannot be loaded: {reason}")

    def _abort(self, state: State, release: str, reason: str) -> State:
        return self._act(partial(states.abort, self._folder, reason, BY, release=release), state)

    def _act(self, move: Callable[..., State], state: State) -> State:
        try:
            # The next check asks a store again that is busy: a stop of the service waits for this one.
            with without_retries():
                moved = move(expected=state.generation)
        except ChangeRefusedError:  # another process was faster; the next poll reads its change
            return state
        except (StateError, LockTimeoutError, OSError) as error:
            self._report("the rollout cannot continue", error)
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
        return any(each["by"] == paths.AUTOPILOT for each in events)

    def _watch(self, what: Canary | Shadow | None, serving: str | None) -> None:
        """Reset the trial when another canary or shadow starts."""
        if (what, serving) != self._compared:
            self._compared = what, serving
            self._logged.clear()
            # As all processes have read it from the state.
            self._evidence.begin(None if what is None else f"{serving} {what}")
        if what != self._watched:
            self._watched, self._trial, self.last = what, None, None
            # A service that starts again goes on with the time, and with what all have seen.
            self._began = min(self.judged, _began(what))


def _began(trial: Canary | Shadow | None) -> float:
    """Return when a stage began, in seconds since 1970; infinite if that is not known."""
    try:
        return datetime.fromisoformat(trial.since or "").timestamp() if trial else math.inf
    except ValueError:
        return math.inf
