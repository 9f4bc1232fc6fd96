"""What is known of a release on trial and of the one that answers, over the same time."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from rung_ops.model.target import ONE_NUMBER, Kind, distances, finite_rows
from rung_ops.statistics.sequential import FEW

# Values that are kept of an arm; then both stop, so that they stand for the same time.
KEPT = 20_000
# Batches whose time is kept of one arm, for each of the other: the one that answers most would be
# through with KEPT while the other has hardly begun, and a time of day be taken for the release.
BESIDE = 10


class ArmFigures:
    """What one arm answered.

    Attributes:
        requests: that it got.
        failed: those that it could not answer.
        slow: those that it answered late.
        seconds: of the typical request of each batch.
        predictions: the first one for each key: one caller must not outweigh all others.
    """

    def __init__(self) -> None:
        """Start at nothing."""
        self.requests = self.failed = self.slow = 0
        self.seconds: list[float] = []
        self.predictions: list[float] = []
        self._keys: set[str] = set()

    @property
    def bad(self) -> int:
        """Requests that failed or were answered late."""
        return self.failed + self.slow

    def keep(self, keys: Iterable[str], predictions: Iterable[float]) -> None:
        """Keep the predictions for keys that are new."""
        counted = self._keys
        for key, prediction in zip(keys, predictions, strict=True):
            if key not in counted:
                counted.add(key)
                self.predictions.append(prediction)


class Trial:
    """A canary at one of its steps, and the release that answers the others."""

    def __init__(self, slow: float) -> None:
        """Start at nothing; an answer that takes `slow` seconds or more is a bad one."""
        self.serving = ArmFigures()
        self.canary = ArmFigures()
        self._slow = slow

    def observe(
        self, arm: str, seconds: Sequence[float], keys: Sequence[str], predictions: np.ndarray
    ) -> None:
        """Take in a batch that was answered.

        Args:
            arm: serving or canary.
            seconds: for each request in it.
            keys: for each row.
            predictions: one number for each row, shape (n_rows,).
        """
        of_arm, other = self.serving, self.canary
        if arm == "canary":
            of_arm, other = other, of_arm
        of_arm.requests += len(seconds)
        of_arm.slow += sum(one >= self._slow for one in seconds)
        mine, others = len(of_arm.seconds), len(other.seconds)
        if seconds and max(mine, others) < KEPT and mine < BESIDE * (others + 1):
            of_arm.seconds.append(math.fsum(seconds) / len(seconds))
        if max(len(self.canary.predictions), len(self.serving.predictions)) < KEPT:
            of_arm.keep(keys, predictions.tolist())

    def fail(self, arm: str, requests: int = 1) -> None:
        """Take in requests that could not be answered."""
        of_arm = self.canary if arm == "canary" else self.serving
        of_arm.requests += requests
        of_arm.failed += requests


class Comparison:
    """What a release in the shadow said beside the one that answers, of the same rows.

    Attributes:
        compared: rows that both scored.
        failed: rows that the shadow did not score, or answered with no number.
        difference: sum over the compared rows of the distance between both predictions.
    """

    def __init__(self, kind: Kind = ONE_NUMBER) -> None:
        """Start at nothing.

        Args:
            kind: of the predictions.
        """
        self._kind = kind
        self.compared = self.failed = 0
        self.difference = 0.0
        self._serving: list[np.ndarray] = []
        self._shadow: list[np.ndarray] = []
        self._kept = 0

    def observe(self, serving: np.ndarray, shadow: np.ndarray) -> None:
        """Take in the predictions of both for the same rows, as a release scores them.

        Raises:
            ValueError: one predicts another kind, or other classes, than the other.
        """
        if shadow.shape != serving.shape:
            raise ValueError(f"its predictions have shape {shadow.shape}, not {serving.shape}")
        good = finite_rows(shadow)
        self.failed += len(shadow) - int(good.sum())
        self.compared += int(good.sum())
        self.difference += float(distances(shadow[good], serving[good], self._kind).sum())
        if self._kept < KEPT:
            self._serving.append(serving[good])
            self._shadow.append(shadow[good])
            self._kept += int(good.sum())

    def fail(self, rows: int) -> None:
        """Take in rows that the shadow could not score."""
        self.failed += rows

    def changed(self, deviations: float) -> tuple[int, int]:
        """Count rows whose prediction changed by more than a number of standard deviations.

        The deviation, a root mean square of distances, is that of the serving release's
        predictions. Rows that are alike count once: one that is sent again and again says nothing
        about the others.

        Returns:
            How many did, and of how many; nothing if the rows are too few to know a deviation.
        """
        known = len(self._shadow)  # another thread appends to it, last of all
        if not known:
            return 0, 0
        both = np.column_stack(
            [np.concatenate(self._serving[:known]), np.concatenate(self._shadow[:known])]
        )
        serving, shadow = np.hsplit(np.unique(both, axis=0), 2)
        if len(serving) < FEW:
            return 0, 0
        if not self._kind.width:
            serving, shadow = serving[:, 0], shadow[:, 0]
        spread = distances(serving, serving.mean(axis=0), self._kind)
        moved = distances(shadow, serving, self._kind) > deviations * np.sqrt((spread**2).mean())
        return int(moved.sum()), len(serving)
