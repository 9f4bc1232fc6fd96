"""What the strategy asks and how it weighs the answers: levels/strategy.yml as frozen objects."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PARTS = ("use_case", "culture", "technology", "people")
DERIVED = ("governance", "pace", "lightness", "always")  # what is weighed besides answers
CIRCUMSTANCES = ("always", "online", "batch", "governance", "weak_ci")


@dataclass(frozen=True)
class Answer:
    """One of a question's four answers; `share` is what it counts, in [0, 1]."""

    name: str
    says: str
    share: float
    domains: tuple[str, ...] = ()


@dataclass(frozen=True)
class Question:
    """One of the twelve questions; `part` is an argument of `successful_mlops`."""

    id: str
    part: str
    short: str
    ask: str
    why: str
    answers: tuple[Answer, ...]
    several: bool = False

    def answer(self, name: str) -> Answer | None:
        """Return the answer of that name, or the one that has a domain of that name."""
        return next((each for each in self.answers if name in (each.name, *each.domains)), None)

    def names(self) -> tuple[str, ...]:
        """Return every name that can be given as an answer, lowest share first."""
        return tuple(name for each in self.answers for name in each.domains or (each.name,))


@dataclass(frozen=True)
class Term:
    """A weight on an answer's share or on a derived value, where `since` is reached."""

    of: str
    weight: float
    since: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Assumption:
    """Answers that are taken where none was given; `where` names a game and answers."""

    because: str
    take: Mapping[str, tuple[str, ...]]
    game: str | None
    answers: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class After:
    """Blocks that come before another one, in one of the CIRCUMSTANCES."""

    block: str
    needs: tuple[str, ...]
    where: str
    because: str


@dataclass(frozen=True)
class Step:
    """One rung more, where every share of one of the mappings `any` is reached."""

    any: tuple[Mapping[str, float], ...]
    because: str


@dataclass(frozen=True)
class Weights:
    """Everything of levels/strategy.yml; each field is explained there."""

    source: str
    warning: str
    questions: Mapping[str, Question]
    team_size: Mapping[str, str]
    assumed: tuple[Assumption, ...]
    governance: tuple[Term, ...]
    pace: tuple[Term, ...]
    velocity_up_to: float
    governance_from: float
    hybrid_from: float
    worth: Mapping[str, tuple[Term, ...]]
    gap: Mapping[str, Term]
    keep_from: float
    keep_foundation_gap: float
    online_from: float
    after: tuple[After, ...]
    start_of: tuple[str, ...]
    start_times: float
    start_at_most: int
    start_at_most_alone: int
    north_from: int
    north_steps: tuple[Step, ...]
    north_governance_at_most: int
    north_governance_because: str
    target_above_start: int
    target_steps: tuple[Step, ...]


def load(folder: Path) -> Weights:
    """Read strategy.yml of the folder `levels`.

    Raises:
        RungError: It is missing, or does not say what a strategy must.
    """
    # It makes the classes above, so it cannot come first.
    from rung.assess import weights_file

    return weights_file.read(folder / "strategy.yml")
