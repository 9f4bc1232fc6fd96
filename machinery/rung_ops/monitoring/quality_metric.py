"""What quality is measured by: the score of the release, and what it was on its test rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rung_ops.gate import rules
from rung_ops.gate.rules import Threshold
from rung_ops.model.target import ONE_NUMBER, Kind
from rung_ops.monitoring.release_info import Score

RECENT, DAY = "recent", "day"  # in place of a slice's column: all of the newest days, one day


@dataclass(frozen=True)
class QualityMetric:
    """What quality is measured by.

    Attributes:
        score: of the release, or of src/.
        metric: the deciding figure, one of those score() returns.
        higher_is_better: its direction.
        metrics: the release's figures on its test rows.
        slices: the same of each slice.
        columns: to slice by: names of columns or features.
        classes: whether the truth is a class, 0 or 1, and no value.
        seed: of what is random.
        kind: what is predicted.
    """

    score: Score
    metric: str
    higher_is_better: bool
    metrics: Mapping[str, float]
    slices: list[dict[str, Any]]
    columns: list[str]
    classes: bool
    seed: int
    kind: Kind = ONE_NUMBER

    def expected(self, column: str, value: str) -> float | None:
        """Give the figure on the test rows, of a slice or of all."""
        if column in (RECENT, DAY):
            return self.metrics.get(self.metric)
        return self._slice(column, value).get(self.metric)

    def allowed(self, share: float, expected: float) -> Threshold:
        """Return how far a figure may be worse than the one of the test rows."""
        return rules.allowed_loss(share, expected, self.higher_is_better)

    def tested(self, column: str, value: str) -> int | None:
        """Count the test rows of a slice; None if the release does not say."""
        return self._slice(column, value).get("rows")

    def _slice(self, column: str, value: str) -> dict[str, Any]:
        for known in self.slices:
            if (known["column"], known["value"]) == (column, value):
                return known
        return {}
