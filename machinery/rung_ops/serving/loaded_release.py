"""A release in memory: with the readers of its rows, the arm it is on, and how long it takes."""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung_ops.model import bundle
from rung_ops.model import released as releases
from rung_ops.model.bundle import BundleError
from rung_ops.model.columns import columns_of
from rung_ops.model.released import Release
from rung_ops.model.row_path import MAX_ROWS
from rung_ops.model.rows import Reader
from rung_ops.project.service_settings import Limits, OtherTime
from rung_ops.release.history import State
from rung_ops.serving.rollout import Arm
from rung_ops.serving.shadow import Shadow

if TYPE_CHECKING:
    from rung_ops.serving.entity_lookup import EntityLookup

LEARN = 0.1  # the share of an error of the estimate that is corrected at once
MOST = 10.0  # times the estimate: a batch that took longer met with something that will pass
LEAST = 1e-9  # seconds: zero could not grow by a share of itself


class LoadedRelease:
    """A release, the readers of its rows, and estimates of what a batch takes."""

    def __init__(
        self, release: Release, arm: Arm, strict: bool, other_time: OtherTime = "refuse"
    ) -> None:
        self.release = release
        self.arm = arm
        contract = release.contract
        try:
            columns, views = columns_of(contract), contract.get("entity_features", ())
            looked_up = [feature["name"] for view in views for feature in view["features"]]
            origin = contract.get("origin")  # of forecasts that have one
            forecast = (origin, contract["time"]) if origin else None
            self.reader = Reader(columns, contract["key"], strict, looked_up, forecast)
        except Exception as error:  # msgspec, re and polars each raise different errors
            raise BundleError(
                f"{release.id}/{bundle.CONTRACT}: no types can be made of it "
                f"({type(error).__name__}: {error})"
            ) from error
        self.lookup = _lookup_of(release, self.reader, other_time) if views else None
        self.wait, self.work = LatencyModel(*release.seconds), LatencyModel(*release.seconds)

    def example(self) -> dict[str, Any]:
        """Return a row as a caller may send it now."""
        written: dict[str, Any] = self.release.contract["example"]
        return written if self.lookup is None else self.lookup.answerable(written)

    def takes_values(self, height: int) -> bool:
        """Whether this number of rows is scored faster without a frame."""
        return height <= MAX_ROWS and self.lookup is None and self.release.row_scorer is not None

    def on(self, arm: Arm) -> "LoadedRelease":
        """Return the release for an arm: itself, or with a separate latency model."""
        if arm == self.arm:
            return self
        other = copy(self)
        other.arm = arm
        other.wait, other.work = copy(self.wait), copy(self.work)
        return other


def _lookup_of(release: Release, reader: Reader, other_time: OtherTime) -> "EntityLookup":
    # Imported here, with SQLite, as most releases have no entity features.
    from rung_ops.features.store import FeatureStoreError
    from rung_ops.serving.entity_lookup import EntityLookup

    try:
        return EntityLookup(release.contract, reader, other_time)
    except FeatureStoreError as error:
        raise BundleError(f"{release.id}: {error}") from error


def load(
    folder: Path,
    public_key: bytes,
    limits: Limits,
    arm: Arm,
    admit: Callable[[dict[str, Any]], None] | None = None,
) -> LoadedRelease:
    """Load a release for an arm; see release.load() for the arguments."""
    release = releases.load(folder, public_key, limits, admit)
    return LoadedRelease(release, arm, limits.strict, limits.other_time)


@dataclass(frozen=True)
class HeldReleases:
    """The loaded releases of an environment's state."""

    state: State = State()  # of the environment, as it was read last
    serving: LoadedRelease | None = None  # the release that answers; None while there is none
    canary: LoadedRelease | None = None  # the release that answers some requests
    shadow: Shadow | None = None  # the release in shadow
    problems: tuple[str, ...] = ()  # why not all of it is as the state asks, in words
    # State and history of the environment are what the commands have written.
    is_state_valid: bool = True

    def ids(self) -> dict[str, str]:
        """Name the release of each arm that has one."""
        arms = {"serving": self.serving, "canary": self.canary, "shadow": self.shadow}
        return {arm: loaded.release.id for arm, loaded in arms.items() if loaded is not None}


class LatencyModel:
    """An estimate of seconds that learns from batches of any size."""

    def __init__(self, fixed: float, per_row: float) -> None:
        self.fixed = max(fixed, LEAST)  # seconds that a batch takes whatever its size
        self.per_row = max(per_row, LEAST)  # seconds that every row adds

    def seconds(self, rows: int) -> float:
        """Estimate how long a batch takes."""
        return self.fixed + rows * self.per_row

    def learn(self, rows: int, seconds: float) -> None:
        """Record how long a batch took.

        Each part is corrected as far as it counts in a batch of this size, so that batches of
        different sizes tell the parts apart.
        """
        expected = self.seconds(rows)
        error = LEARN * (min(seconds / expected, MOST) - 1)
        share = self.fixed / expected
        self.fixed = max(self.fixed * (1 + error * share), LEAST)
        self.per_row = max(self.per_row * (1 + error * (1 - share)), LEAST)
