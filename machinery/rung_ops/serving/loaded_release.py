"""A release as the service holds it: with the types of its rows, the arm it is on, and its pace."""

from collections.abc import Callable, Mapping
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung_ops.model import bundle
from rung_ops.model import released as releases
from rung_ops.model.bundle import BundleError
from rung_ops.model.columns import columns_of
from rung_ops.model.released import Release
from rung_ops.model.row_path import MAX_ROWS
from rung_ops.model.rows import Reader
from rung_ops.project.service_settings import Limits
from rung_ops.serving.arrow import ArrowReader
from rung_ops.serving.latency_model import LatencyModel
from rung_ops.serving.traffic_split import Arm

if TYPE_CHECKING:
    from rung_ops.serving.entity_lookup import EntityLookup


class LoadedRelease:
    """A release, the readers of its rows, and estimates of what a batch takes.

    Attributes:
        lookup: fills in its entity features; None if it has none.
        wait: seconds until it is scored, which are more on a busy machine.
        work: seconds of computing in it.
    """

    def __init__(self, release: Release, arm: Arm, strict: bool) -> None:
        """Make the types of its rows.

        Raises:
            BundleError: its contract names a rule that means nothing, or the feature store lacks
                values.
        """
        self.release = release
        self.arm = arm
        try:
            columns = columns_of(release.contract)
            looked_up = _looked_up(release.contract)
            self.reader = Reader(columns, release.contract["key"], strict, looked_up)
            self.arrow = ArrowReader(columns, strict, looked_up)
        except Exception as error:  # msgspec, re and polars each raise different errors
            raise BundleError(
                f"{release.id}/{bundle.CONTRACT}: no types can be made of it "
                f"({type(error).__name__}: {error})"
            ) from error
        try:
            self.lookup = _lookup_of(release.contract, self.reader)
        except BundleError as error:
            raise BundleError(f"{release.id}: {error}") from error
        self.wait, self.work = LatencyModel(*release.seconds), LatencyModel(*release.seconds)

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


def _looked_up(contract: Mapping[str, Any]) -> list[str]:
    views = contract.get("entity_features", ())
    return [feature["name"] for view in views for feature in view["features"]]


def _lookup_of(contract: Mapping[str, Any], reader: Reader) -> "EntityLookup | None":
    if not contract.get("entity_features"):
        return None
    # Imported here, with SQLite, as most releases have no entity features.
    from rung_ops.serving.entity_lookup import lookup_of

    return lookup_of(contract, reader)


def load(
    folder: Path,
    public_key: bytes,
    limits: Limits,
    arm: Arm,
    admit: Callable[[dict[str, Any]], None] | None = None,
) -> LoadedRelease:
    """Load a release for an arm; see release.load() for the arguments.

    Raises:
        BundleError: it must not be used; the message says why.
    """
    return LoadedRelease(releases.load(folder, public_key, limits, admit), arm, limits.strict)
