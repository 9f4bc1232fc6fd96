"""Follow the state of an environment: load what it asks for, and swap when that is ready.

What is bad never takes the place of what is good: the last good release goes on, and what is
wrong is told by /health/ready, /model and the metrics.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rung_ops.release import history
from rung_ops.release import state as states
from rung_ops.release.bundle import BadBundle
from rung_ops.release.state import BadState, State
from rung_ops.serving.loaded_release import LoadedRelease
from rung_ops.serving.loading import Loader
from rung_ops.serving.recovery import state_from_history
from rung_ops.serving.service import HeldReleases, Service
from rung_ops.serving.shadow import Shadow
from rung_ops.serving.trial_figures import Comparison
from rung_ops.system.files import UnusableFileError

LOG = logging.getLogger("service")

STEP = 1.0  # seconds between two looks at what is on trial
REPAIR = (
    "Keep a copy of it and of state.json, take both away, and `poe deploy` the release by its name."
)


@dataclass(frozen=True)
class Reading:
    """What the folder of an environment said.

    Attributes:
        state: what it asks for, or what stands in for that.
        problems: why something stands in, or what is wrong with the history.
        is_valid: state.json and history hold what the commands have written.
    """

    state: State
    problems: tuple[str, ...] = ()
    is_valid: bool = True


class Watch:
    """Keeps a service in step with the state of its environment."""

    def __init__(self, service: Service, folder: Path) -> None:
        """Watch.

        Args:
            service: that is kept in step.
            folder: the environment's.
        """
        self._service = service
        self._folder = folder
        self._wake = asyncio.Event()
        self._loader = Loader(
            folder, service.limits, self._wake.set, lambda: service.metrics.swap("refused")
        )
        self._known: State | None = None  # the last state that could be read
        self._entry: dict[str, Any] | None = None  # the history's line for the state
        self._checked = history.Checked()
        self._unloadable: dict[str, str] = {}  # releases on trial, and why

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        await asyncio.gather(self._looks(), self._steps())

    async def _looks(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self.look()
            except Exception:  # this goes on as long as the service does
                LOG.exception("Looking after %s failed; it is tried again.", self._folder.name)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._service.limits.poll_seconds)

    async def look(self) -> None:
        """Read the state once, and do of what it asks for what can be done without waiting."""
        reading = await asyncio.to_thread(self._read_all)
        before = self._service.held
        held = self._held_releases(reading)
        if held == before:
            return
        # Nothing comes between this reading and install(): a stop or a rollback of the meantime
        # must not be undone, not even until the next look.
        if self._read().state != reading.state:
            if held.shadow is not None and held.shadow is not before.shadow:
                held.shadow.close(0)
            self._wake.set()
            return
        self._install(held)

    def _read_all(self) -> Reading:
        """Read state and history; the history may take long, and is read beside the event loop."""
        found = self._read()
        problem = self._wrong_history()
        if not problem or not found.is_valid:
            return found
        return Reading(found.state, (*found.problems, problem), is_valid=False)

    def _read(self) -> Reading:
        """Read the state; where that is impossible say why, and what stands in for it."""
        is_valid, self._entry = True, None
        try:
            found, self._entry = states.read_with_entry(self._folder)
            if found.generation:
                self._known = found
                return Reading(found)
            problem = f"{self._folder / states.STATE} is missing."
        except BadState as error:
            problem, is_valid = str(error), False
        except OSError as error:  # unreachable, which says nothing against what it holds
            problem = str(error)
        stand_in = self._known or state_from_history(self._folder)
        if stand_in == State() and is_valid:
            return Reading(stand_in)
        return Reading(stand_in, (problem,), is_valid)

    def _wrong_history(self) -> str:
        """Say what is wrong with the history, or with the place of the state's entry in it."""
        path = self._folder / states.HISTORY
        try:
            self._checked = history.follow(path, self._checked)
        except UnusableFileError as error:
            return f"{error}. {REPAIR}"
        except OSError:
            return ""  # unreachable, as above
        if self._checked.fault is not None:
            return f"{path}: {self._checked.fault}. {REPAIR}"
        if self._entry is not None and not self._checked.holds(self._entry):
            return f"{path}: its last change is another than that of {states.STATE}. {REPAIR}"
        return ""

    def _held_releases(self, reading: Reading) -> HeldReleases:
        state, problems = reading.state, list(reading.problems)
        self._unloadable.clear()
        serving = self._serving(state, problems)
        canary = shadow = None
        if state.canary is not None:
            found = self._on_trial(state.canary.release, problems)
            canary = self._canary(found) if found is not None else None
        if state.shadow is not None:
            found = self._on_trial(state.shadow.release, problems)
            if found is not None:
                shadow = self._shadow(found, state.shadow, serving)
        return HeldReleases(state, serving, canary, shadow, tuple(problems), reading.is_valid)

    def _serving(self, state: State, problems: list[str]) -> LoadedRelease | None:
        """Give the release that is to answer; where it is bad, the last good one."""
        if state.serving is None:
            return None
        answering = self._service.held.serving
        for name in (state.serving, *self._last_good(state)):
            try:
                served = self._loader.get(name) or answering
            except BadBundle as error:
                problems.append(f"{error}.")
                continue
            if served is None:
                problems.append(f"{name} is being loaded.")
            elif problems and name != state.serving:
                problems.append(f"{name} answers in its place.")
            return served
        return None

    def _last_good(self, state: State) -> Iterator[str]:
        answering = self._service.held.serving
        if answering is not None:
            yield answering.release.id
        yield from state.previous

    def _on_trial(self, name: str, problems: list[str]) -> LoadedRelease | None:
        try:
            return self._loader.get(name)
        except BadBundle as error:
            problems.append(f"{error}.")
            self._unloadable[name] = str(error)
            return None

    def _canary(self, found: LoadedRelease) -> LoadedRelease:
        before = self._service.held.canary
        same = before is not None and before.release is found.release
        return before if before is not None and same else found.on("canary")

    def _shadow(
        self, found: LoadedRelease, wanted: states.Shadow, serving: LoadedRelease | None
    ) -> Shadow:
        before = self._service.held
        # Beside another release that answers, what was compared before says nothing.
        alike = before.state.shadow == wanted and _name(before.serving) == _name(serving)
        if before.shadow is not None and alike and before.shadow.release is found.release:
            return before.shadow
        return Shadow(found.release, wanted.share, self._service.log, self._service.hooks.adjust)

    def _install(self, held: HeldReleases) -> None:
        before, state = self._service.held, held.state
        self._service.install(held)
        for problem in held.problems:
            if problem not in before.problems:
                LOG.warning("%s: %s", self._folder.name, problem)
        if _name(held.serving) != _name(before.serving):
            self._service.metrics.swap("loaded")
            LOG.info("%s answers", _name(held.serving) or "nothing")
        # The one before stays in memory, so that the way back needs no disk.
        wanted = {state.serving, *state.previous[:1], _name(held.serving)}
        wanted |= {each.release for each in (state.canary, state.shadow) if each is not None}
        used = {name for name in wanted if name is not None}
        self._loader.keep(used, used | state.releases())

    async def _steps(self) -> None:
        while True:
            await asyncio.sleep(STEP)
            held = self._service.held
            compared = held.shadow.found if held.shadow is not None else None
            try:
                # In a thread, as it may wait for the lock of the environment.
                await asyncio.to_thread(self._step, held.state, compared)
            except Exception:
                LOG.exception("Judging what is on trial failed; it is tried again.")
            self._wake.set()

    def _step(self, state: State, compared: Comparison | None) -> None:
        rollout = self._service.rollout
        for name, reason in list(self._unloadable.items()):
            state = rollout.unloadable(state, name, reason)
        rollout.step(state, compared)


def _name(served: LoadedRelease | None) -> str | None:
    return served.release.id if served is not None else None
