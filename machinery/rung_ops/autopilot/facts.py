"""What a decision rests on: the facts that a pass has found."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Quality:
    """The deciding figure of the serving release in production, on rows whose outcome is known.

    Attributes:
        name: of the figure.
        higher_is_better: its direction.
        figure, low, high: its value, and its interval.
        at_release: what the release had on its own test rows.
        rows: how many there are.
    """

    name: str
    higher_is_better: bool
    figure: float
    low: float
    high: float
    at_release: float
    rows: int

    def worse_by(self, end: float) -> float:
        """Tell how much worse a value is than at release; negative where it is better."""
        return (self.at_release - end) * (1 if self.higher_is_better else -1)


@dataclass(frozen=True)
class Verdict:
    """Whether the promoted release is worse than the one before it, and how that was found."""

    worse: bool
    says: str


@dataclass(frozen=True)
class Trial:
    """A release that is tried in production: its arm is shadow or canary."""

    release: str
    arm: str
    since: datetime


@dataclass(frozen=True)
class Facts:
    """What a decision rests on.

    Attributes:
        now: as of when it is judged; all times have a zone.
        serving: the release that answers in production, if any.
        knows_until: the newest moment that the release can know of.
        drifted: names of the features that have drifted; None when it is unknown.
        prediction_drifted: whether the predictions have; None when it is unknown.
        quality: None where too few outcomes are known.
        new_rows: labelled rows that no model has seen.
        trainings: when earlier passes trained.
        refused: when the gate last refused a version, or one was rolled back.
        trial: what is being tried now, if anything.
        verdict: on the promoted release against the one before it; None when there is none to give.
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
