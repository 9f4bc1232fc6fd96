"""The facts that a decision is based on."""

from dataclasses import dataclass
from datetime import datetime

from rung_ops.gate import rules
from rung_ops.gate.rules import Threshold


@dataclass(frozen=True)
class Quality:
    """The metric of the serving release in production, on rows with known outcome.

    Attributes:
        name: of the metric.
        higher_is_better: its direction.
        figure, low, high: its value and confidence interval.
        at_release: its value on the test rows of the release.
        rows: number of rows.
    """

    name: str
    higher_is_better: bool
    figure: float
    low: float
    high: float
    at_release: float
    rows: int

    def allowed(self, share: float) -> Threshold:
        """Return how far below its value at release the metric may be."""
        return rules.allowed_loss(share, self.at_release, self.higher_is_better)

    def worse_by(self, end: float) -> float:
        """Return how much worse a value is than at release; negative if it is better."""
        return (self.at_release - end) * (1 if self.higher_is_better else -1)


@dataclass(frozen=True)
class Verdict:
    """Whether the promoted release is worse than the previous one, and why."""

    worse: bool
    says: str


@dataclass(frozen=True)
class Trial:
    """A release in shadow or canary: `arm` says which."""

    release: str
    arm: str
    since: datetime


@dataclass(frozen=True)
class Facts:
    """The facts of a pass.

    Attributes:
        now: time of the decision; all times have a time zone.
        serving: the serving release in production, if any.
        knows_until: time of the newest training row of the release.
        drifted: names of the features that have drifted; None if unknown.
        prediction_drifted: whether the predictions have drifted; None if unknown.
        quality: None if too few outcomes are known.
        new_rows: number of labelled rows that no training has used.
        trainings: times of trainings by earlier passes.
        refused: when the gate last refused a version, or one was rolled back.
        trial: the release in shadow or canary, if any.
        verdict: the promoted release compared with the previous one; None without a comparison.
    """

    now: datetime
    serving: str | None
    knows_until: datetime | None
    drifted: tuple[str, ...] | None
    prediction_drifted: bool | None
    quality: Quality | None
    new_rows: int
    trainings: tuple[datetime, ...] = ()
    refused: datetime | None = None
    trial: Trial | None = None
    verdict: Verdict | None = None
