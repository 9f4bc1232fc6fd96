"""Load releases beside the event loop, and remember those that were good and those that were not."""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rung_ops.model import bundle, verification
from rung_ops.model.bundle import BundleError
from rung_ops.project import release_folders
from rung_ops.project.service_settings import Limits
from rung_ops.serving import loaded_release
from rung_ops.serving.loaded_release import LoadedRelease
from rung_ops.system.files import stamp

LOG = logging.getLogger("service")

AGAIN = 30.0  # seconds after which an unchanged bad bundle is tried again

Stamp = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True)
class Bad:
    """What was wrong with a bundle, as it was then; `until` when that is believed."""

    reason: str
    stamp: Stamp
    until: float


class Loader:
    """Holds the releases of one environment in memory; used on the event loop alone."""

    def __init__(
        self,
        folder: Path,
        limits: Limits,
        loaded: Callable[[], None],
        refused: Callable[[], None],
        admit: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        """Hold nothing yet.

        Args:
            folder: the environment's.
            limits: how slow a release may be.
            loaded: called when a release is loaded, or is found to be bad.
            refused: called when a release is found to be bad, unless that was known.
            admit: asked before the code of a release is imported; may raise BundleError.
        """
        self._admit = admit
        self._folder = folder
        self._limits = limits
        self._loaded = loaded
        self._refused = refused
        self._held: dict[str, LoadedRelease] = {}
        self._bad: dict[str, Bad] = {}
        self._loading: dict[str, Stamp] = {}

    def get(self, name: str) -> LoadedRelease | None:
        """Give a release that was verified, warmed and checked; None while it is being loaded.

        Raises:
            BundleError: it must not be used; the message says why.
        """
        if name in self._held:
            return self._held[name]
        now = _stamp(release_folders.bundle(self._folder, name))
        bad = self._bad.get(name)
        believed = bad is not None and bad.stamp == now and time.monotonic() < bad.until
        if not believed and name not in self._loading:
            self._start(name, now)
        if bad is not None:
            raise BundleError(bad.reason)
        return None

    def keep(self, used: Collection[str], known: Collection[str]) -> None:
        """Let go of all releases but those that are used, and of verdicts on unknown ones."""
        for name in self._held.keys() - set(used):
            del self._held[name]
        for name in self._bad.keys() - set(known):
            del self._bad[name]

    def _start(self, name: str, stamp: Stamp) -> None:
        self._loading[name] = stamp
        loop = asyncio.get_running_loop()
        path, limits = release_folders.bundle(self._folder, name), self._limits
        clock = loop.call_later(limits.max_load_seconds, self._give_up, name, stamp)

        def load() -> None:
            try:
                outcome: LoadedRelease | str = loaded_release.load(
                    path, verification.public_key(), limits, "serving", self._admit
                )
            except BundleError as error:
                outcome = str(error)
            except Exception as error:  # whatever it is, what answers goes on
                outcome = f"{name} cannot be loaded ({type(error).__name__}: {error})"
            with contextlib.suppress(RuntimeError):  # the loop may have ended meanwhile
                loop.call_soon_threadsafe(self._settle, name, stamp, outcome, clock)

        # A daemon: the process does not wait for it when it ends.
        threading.Thread(target=load, name="load", daemon=True).start()

    def _settle(
        self, name: str, stamp: Stamp, outcome: LoadedRelease | str, clock: asyncio.TimerHandle
    ) -> None:
        clock.cancel()
        if self._loading.get(name) != stamp:  # it was given up
            return
        del self._loading[name]
        if isinstance(outcome, str):
            self._refuse(name, Bad(outcome, stamp, time.monotonic() + AGAIN))
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
        # Its thread goes on: it must not get company before the bundle is another one.
        self._refuse(name, Bad(reason, stamp, float("inf")))

    def _refuse(self, name: str, bad: Bad) -> None:
        known = self._bad.get(name)
        self._bad[name] = bad
        if known is None or (known.reason, known.stamp) != (bad.reason, bad.stamp):
            LOG.error("Refused: %s", bad.reason)
            self._refused()
        self._loaded()


def _stamp(path: Path) -> Stamp:
    """Return a state of the bundle and the key that shows changes without reading them."""
    files = (path / bundle.MANIFEST, path / bundle.SIGNATURE, release_folders.public_key())
    return tuple(map(_of_file, files))


def _of_file(path: Path) -> tuple[int, int, int] | None:
    try:
        return stamp(path)
    except OSError:
        return None
