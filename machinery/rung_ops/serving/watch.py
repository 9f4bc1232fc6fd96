"""Follow the state of an environment: load its releases, and swap when they are ready.

If a release cannot be loaded, the service continues with the last good one; /health/ready, /model
and the metrics report the problem.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung_ops.model import bundle
from rung_ops.model.bundle import BundleError
from rung_ops.project import paths
from rung_ops.project.service_settings import Limits
from rung_ops.release import state as states
from rung_ops.release.history import State
from rung_ops.release.rollout import Comparison
from rung_ops.serving import loaded_release
from rung_ops.serving.loaded_release import HeldReleases, LoadedRelease
from rung_ops.serving.service import Service
from rung_ops.serving.shadow import Complete, Shadow
from rung_ops.serving.shadow_process import SeparateRelease
from rung_ops.serving.state_reader import Reading, StateReader
from rung_ops.system.files import stamp

if TYPE_CHECKING:
    from rung_ops.serving.entity_lookup import EntityLookup

LOG = logging.getLogger("service")

LOST = (
    "The stop by {0.by} at {0.at} is not in the state any more, and holds in this process until a "
    "resumption follows its line in the history: put the files back as they were."
)
RETRY_SECONDS = 30.0  # seconds after which an unchanged bad bundle is tried again

Stamp = tuple[tuple[int, int, int] | None, ...]


class Watch:
    """Updates a service when the state of its environment changes."""

    def __init__(self, service: Service, reader: StateReader) -> None:
        self._service = service
        self._reader = reader
        self._name = reader.folder.name
        self._wake = asyncio.Event()
        self._loader = Loader(
            reader.folder,
            service.limits,
            self._wake.set,
            lambda: service.metrics.swap("refused"),
            self._admit,
        )
        self._unloadable: dict[str, str] = {}  # reason by release, of canary and shadow
        self.has_polled = False  # once at least, so that the service knows the state

    async def run(self) -> None:
        """Poll until cancelled."""
        await asyncio.gather(self._poll(), self._steps())

    async def _poll(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self.poll()
            except Exception:  # must not end while the service runs
                LOG.exception("Following %s failed; retrying.", self._name)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._service.limits.poll_seconds)

    async def poll(self) -> None:
        """Read the state once, and apply what is loaded; start loading the rest."""
        reading, resumed = await asyncio.to_thread(self._read, self._service.halts)
        before = self._service.held
        held = self._held_releases(reading)
        if held != before:
            # Once more right before install(), so that a stop or rollback meanwhile is not undone.
            if self._reader.current() != reading.state:
                if held.shadow is not None and held.shadow is not before.shadow:
                    held.shadow.close(0)
                self._wake.set()
                return
            self._install(held)
        for line in resumed:
            self._service.end_halt(line)
        self.has_polled = True

    def _read(self, halts: dict[str, states.Stopped]) -> tuple[Reading, list[str]]:
        """Read the state, and which stops that this process accepted are over."""
        reading = self._reader.read()
        resumed = [line for line in halts if self._reader.is_resumed(line)]
        if reading.state.stopped is not None:
            return reading, resumed
        gone = [LOST.format(stop) for line, stop in halts.items() if line not in resumed]
        return replace(reading, problems=(*reading.problems, *gone)), resumed

    def _held_releases(self, reading: Reading) -> HeldReleases:
        state, problems = reading.state, list(reading.problems)
        self._unloadable.clear()
        serving = self._serving(state, problems)
        canary = shadow = None
        if state.canary is not None and self._may_load(state.canary.release, problems):
            loaded = self._on_trial(state.canary.release, problems)
            if loaded is not None and self._may_answer(loaded, problems):
                before = self._service.held.canary
                is_same = before is not None and before.release is loaded.release
                canary = before if is_same else loaded.on("canary")
        if state.shadow is not None:
            shadow = self._shadow(state.shadow, serving, problems)
        return HeldReleases(state, serving, canary, shadow, tuple(problems), reading.is_valid)

    def _serving(self, state: State, problems: list[str]) -> LoadedRelease | None:
        """Return the serving release; if it cannot be loaded, the last good one."""
        if state.serving is None:
            return None
        current = self._service.held.serving
        for name in (state.serving, *self._last_good(state)):
            if not self._may_load(name, problems):
                return None
            try:
                served = self._loader.get(name) or current
            except BundleError as error:
                problems.append(f"{error}.")
                continue
            if served is None:
                problems.append(f"{name} is being loaded.")
            elif not self._may_answer(served, problems):
                return None
            elif problems and name != state.serving:
                problems.append(f"{name} is served instead.")
            return served
        return None

    def _may_load(self, name: str, problems: list[str]) -> bool:
        """Decide by the unverified manifest, so that a refused release is not verified each time.

        Where code is imported, _admit() decides by the verified one.
        """
        if not self._reader.is_guarded:
            return True
        try:
            manifest = bundle.read_manifest(paths.bundle(self._reader.folder, name))
        except BundleError:
            return True  # the loader says what is wrong with it
        objection = self._reader.objection(manifest)
        if objection is None or not objection.refuses:
            return True
        problems.append(f"{objection.reason}.")
        return False

    def _admit(self, manifest: dict[str, Any]) -> None:
        """Raise BundleError if the code of a release may not run in this process."""
        objection = self._reader.objection(manifest)
        if objection is not None and objection.refuses:
            raise BundleError(objection.reason)

    def _may_answer(self, served: LoadedRelease, problems: list[str]) -> bool:
        objection = self._reader.objection(served.release.manifest)
        if objection is not None:
            problems.append(f"{objection.reason}.")
        return objection is None or not objection.refuses

    def _last_good(self, state: State) -> Iterator[str]:
        current = self._service.held.serving
        if current is not None:
            yield current.release.id
        yield from state.previous

    def _on_trial(self, name: str, problems: list[str]) -> LoadedRelease | None:
        try:
            return self._loader.get(name)
        except BundleError as error:
            problems.append(f"{error}.")
            self._unloadable[name] = str(error)
            return None

    def _shadow(
        self, wanted: states.Shadow, serving: LoadedRelease | None, problems: list[str]
    ) -> Shadow | None:
        """Return what shadows the serving release, in a process of its own where that is guarded."""
        held = self._service.held
        # A comparison with another serving release does not go on.
        goes_on = held.state.shadow == wanted and _name(held.serving) == _name(serving)
        before = held.shadow if goes_on else None
        log, adjust = self._service.log, self._service.hooks.adjust
        if self._reader.is_guarded:
            if before is not None:
                return before
            release = SeparateRelease(paths.bundle(self._reader.folder, wanted.release))
            return Shadow(release, wanted.share, log, adjust, release.close)
        loaded = self._on_trial(wanted.release, problems)
        if loaded is None:
            return None
        if before is not None and before.release is loaded.release:
            return before
        complete = None if loaded.lookup is None else _completed(loaded.lookup, serving)
        return Shadow(loaded.release, wanted.share, log, adjust, complete=complete)

    def _install(self, held: HeldReleases) -> None:
        before, state = self._service.held, held.state
        self._service.install(held)
        if before.state.generation:  # not of what happened before the service started
            self._service.metrics.follow_state(before.state, state)
        for problem in held.problems:
            if problem not in before.problems:
                LOG.warning("%s: %s", self._name, problem)
        if _name(held.serving) != _name(before.serving):
            self._service.metrics.swap("loaded")
            LOG.info("serving %s", _name(held.serving) or "nothing")
        # The previous release stays in memory, so that a rollback needs no disk.
        wanted = {state.serving, *state.previous[:1], _name(held.serving)}
        wanted |= {trial.release for trial in (state.canary, state.shadow) if trial is not None}
        used = {name for name in wanted if name is not None}
        self._loader.keep(used, used | state.releases())

    async def _steps(self) -> None:
        while True:
            await asyncio.sleep(self._service.rollout.pause)
            if not self.has_polled:
                continue  # what it would judge is not known
            held = self._service.held
            compared = held.shadow.comparison if held.shadow is not None else None
            try:
                # In a thread, because it may wait for the lock of the environment.
                state = replace(held.state, stopped=self._service.stopped)
                await asyncio.to_thread(self._step, state, compared)
            except Exception:
                LOG.exception("Checking the canary or shadow failed; retrying.")
            self._wake.set()

    def _step(self, state: State, compared: Comparison | None) -> None:
        rollout = self._service.rollout
        for name, reason in list(self._unloadable.items()):
            state = rollout.unloadable(state, name, reason)
        rollout.step(state, compared)


def _completed(lookup: "EntityLookup", serving: LoadedRelease | None) -> Complete:
    looked_up = serving.lookup if serving is not None else None
    known = {view.id for view in looked_up.views} if looked_up is not None else set()
    return lambda rows: lookup.complete(rows, known)


def _name(served: LoadedRelease | None) -> str | None:
    return served.release.id if served is not None else None


@dataclass(frozen=True)
class RefusedBundle:
    """A bundle that cannot be loaded."""

    reason: str
    stamp: Stamp  # of its files as they were then
    until: float  # when it is tried again though its files are unchanged


class Loader:
    """Holds the releases of one environment in memory; use it only on the event loop.

    Releases are loaded in threads; those that cannot be are remembered, with the reason.
    """

    def __init__(
        self,
        folder: Path,
        limits: Limits,
        loaded: Callable[[], None],
        refused: Callable[[], None],
        admit: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self._admit = admit
        self._folder = folder
        self._limits = limits
        self._loaded = loaded
        self._refused = refused
        self._held: dict[str, LoadedRelease] = {}
        self._bad: dict[str, RefusedBundle] = {}
        self._loading: dict[str, Stamp] = {}

    def get(self, name: str) -> LoadedRelease | None:
        """Return a release that was verified, warmed and checked; None while it is being loaded.

        Raises:
            BundleError: it must not be used; the message says why.
        """
        if name in self._held:
            return self._held[name]
        now = _stamp(paths.bundle(self._folder, name))
        bad = self._bad.get(name)
        believed = bad is not None and bad.stamp == now and time.monotonic() < bad.until
        if not believed and name not in self._loading:
            self._start(name, now)
        if bad is not None:
            raise BundleError(bad.reason)
        return None

    def keep(self, used: Collection[str], known: Collection[str]) -> None:
        """Drop all releases that are not used, and the reasons against unknown ones."""
        for name in self._held.keys() - set(used):
            del self._held[name]
        for name in self._bad.keys() - set(known):
            del self._bad[name]

    def _start(self, name: str, stamp: Stamp) -> None:
        self._loading[name] = stamp
        loop = asyncio.get_running_loop()
        path, limits = paths.bundle(self._folder, name), self._limits
        clock = loop.call_later(limits.max_load_seconds, self._give_up, name, stamp)

        def load() -> None:
            try:
                outcome: LoadedRelease | str = loaded_release.load(
                    path, bundle.public_key(), limits, "serving", self._admit
                )
            except BundleError as error:
                outcome = str(error)
            except Exception as error:  # whatever it is, the service continues
                outcome = f"{name} cannot be loaded ({type(error).__name__}: {error})"
            with contextlib.suppress(RuntimeError):  # the loop may have ended meanwhile
                loop.call_soon_threadsafe(self._settle, name, stamp, outcome, clock)

        # A daemon: the process does not wait for it when it ends.
        threading.Thread(target=load, name="load", daemon=True).start()

    def _settle(
        self, name: str, stamp: Stamp, outcome: LoadedRelease | str, clock: asyncio.TimerHandle
    ) -> None:
        clock.cancel()
        if self._loading.get(name) != stamp:  # it took too long
            return
        del self._loading[name]
        if isinstance(outcome, str):
            self._refuse(name, RefusedBundle(outcome, stamp, time.monotonic() + RETRY_SECONDS))
            return
        LOG.info("Loaded %s", name)
        self._bad.pop(name, None)
        self._held[name] = outcome
        self._loaded()

    def _give_up(self, name: str, stamp: Stamp) -> None:
        if self._loading.get(name) != stamp:
            return
        del self._loading[name]
        reason = (
            f"{name} was not loaded within {self._limits.max_load_seconds:g} s, which is "
            "max_load_seconds under [service] in ops/service.toml"
        )
        # The loading thread may still be running: start no second one until the bundle has changed.
        self._refuse(name, RefusedBundle(reason, stamp, float("inf")))

    def _refuse(self, name: str, bad: RefusedBundle) -> None:
        known = self._bad.get(name)
        self._bad[name] = bad
        if known is None or (known.reason, known.stamp) != (bad.reason, bad.stamp):
            LOG.error("Refused: %s", bad.reason)
            self._refused()
        self._loaded()


def _stamp(path: Path) -> Stamp:
    """Return a state of the bundle and the key that shows changes without reading them."""
    files = (path / bundle.MANIFEST, path / bundle.SIGNATURE, paths.public_key())
    return tuple(map(_file_stamp, files))


def _file_stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        return stamp(path)
    except OSError:
        return None
