"""A release as the service holds it: with the types of its rows, the arm it is on, and its pace.

Rung keeps this file; change it through service.toml.
"""

from copy import copy
from pathlib import Path

from ops.release import bundle
from ops.release.bundle import BadBundle
from ops.service import release as releases
from ops.service.arms import Arm
from ops.service.arrow import ArrowReader
from ops.service.columns import columns_of
from ops.service.pace import Pace
from ops.service.release import Release
from ops.service.requests import Reader
from ops.service.settings import Limits


class Served:
    """A release, the readers of its rows, and estimates of what a batch takes.

    Attributes:
        wait: seconds until it is scored, which are more on a busy machine.
        work: seconds of computing in it.
    """

    def __init__(self, release: Release, arm: Arm, strict: bool) -> None:
        """Make the types of its rows.

        Raises:
            BadBundle: its contract names a rule that means nothing.
        """
        self.release = release
        self.arm = arm
        try:
            columns = columns_of(release.contract)
            self.reader = Reader(columns, release.contract["key"], strict)
            self.arrow = ArrowReader(columns, strict)
        except Exception as error:  # msgspec, re and polars each have errors of their own
            raise BadBundle(
                f"{release.id}/{bundle.CONTRACT}: no types can be made of it "
                f"({type(error).__name__}: {error})"
            ) from error
        self.wait, self.work = Pace(*release.seconds), Pace(*release.seconds)

    def on(self, arm: Arm) -> "Served":
        """Give the same release for an arm: itself, or with a pace of its own."""
        if arm == self.arm:
            return self
        other = copy(self)
        other.arm = arm
        other.wait, other.work = copy(self.wait), copy(self.work)
        return other


def load(folder: Path, public_key: bytes, limits: Limits, arm: Arm) -> Served:
    """Load a release for an arm.

    Raises:
        BadBundle: it must not be used; the message says why.
    """
    return Served(releases.load(folder, public_key, limits), arm, limits.strict)
