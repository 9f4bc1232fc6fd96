"""What the strategy asks and how it weighs the answers: levels/strategy.yml as frozen objects."""

from collections.abc import Mapping
from dataclasses import dataclass, field

PARTS = ("use_case", "culture", "technology", "people")
DERIVED = ("governance", "adoption", "lightness", "always")  # what is weighed besides answers
Answers = Mapping[str, tuple[str, ...]]  # by question, the names of the answers given
CIRCUMSTANCES = ("always", "online", "governance", "weak_ci")


@dataclass(frozen=True)
class Answer:
    """One of a question's four answers; `share` is what it counts, in [0, 1]."""

    name: str
    says: str
    share: float
    domains: tuple[str, ...] = ()


@dataclass(frozen=True)
class Question:
    """One of the questions; `part` is an argument of `successful_mlops`."""

    id: str
    part: str
    short: str
    ask: str
    why: str
    answers: tuple[Answer, ...]
    several: bool = False
    synonyms: Mapping[str, str] = field(default_factory=dict)

    def answer(self, name: str) -> Answer | None:
        """Return the answer of that name, or the one that has a domain of that name."""
        return next((each for each in self.answers if name in (each.name, *each.domains)), None)

    def meant(self, text: str) -> str | None:
        """Return the name that a person means by a number, a name or a word like it."""
        word = "-".join(text.lower().replace("_", " ").replace("-", " ").split())
        if word.isdigit() and int(word) < len(self.answers):
            return self.answers[int(word)].name
        return word if self.answer(word) else self.synonyms.get(word)

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
    """Defaults for missing answers; `where` names a game and answers."""

    because: str
    take: Answers
    game: str | None
    answers: Answers


@dataclass(frozen=True)
class Contradiction:
    """Contradictory answers, and what counts instead."""

    where: Answers
    says: str
    take: Answers


@dataclass(frozen=True)
class Duty:
    """Capabilities that law or harm requires on any rung if one of `any` holds."""

    any: tuple[Answers, ...]
    because: str
    ask: tuple[str, ...]


@dataclass(frozen=True)
class Tasks:
    """A step that no capability stands for."""

    any: tuple[Answers, ...]
    because: str
    tasks: tuple[str, ...]
    effort: str


@dataclass(frozen=True)
class After:
    """Blocks that come before another one, in one of the CIRCUMSTANCES."""

    block: str
    needs: tuple[str, ...]
    where: str
    because: str


@dataclass(frozen=True)
class Step:
    """One rung more if every share of one of the mappings `any` is reached."""

    any: tuple[Mapping[str, float], ...]
    because: str


@dataclass(frozen=True)
class Games:
    """The shares of governance that part the games."""

    velocity_up_to: float
    governance_from: float
    hybrid_from: float


@dataclass(frozen=True)
class Keep:
    """From which priority a block is worked on, and from which gap the foundation is."""

    priority: float
    foundation_gap: float


@dataclass(frozen=True)
class Start:
    """The rung to start on: `times` the mean of the answers `of`, within bounds."""

    of: tuple[str, ...]
    times: float
    at_most: int
    at_most_alone: int
    with_ci: int


@dataclass(frozen=True)
class North:
    """The north star: the rung of every team, one more for each step that holds, within bounds."""

    lowest: int
    steps: tuple[Step, ...]
    governance_at_most: int
    governance_because: str
    duties_at_least: int
    duties_because: str


@dataclass(frozen=True)
class Target:
    """The rung for twelve months: above the start, and one more for each step that holds."""

    above_start: int
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Weights:
    """Everything of levels/strategy.yml; each field is explained there."""

    source: str
    warning: str
    questions: Mapping[str, Question]
    project: Mapping[str, tuple[str, Mapping[str, str]]]
    assumed: tuple[Assumption, ...]
    contradictions: tuple[Contradiction, ...]
    duties: tuple[Duty, ...]
    alignment: Tasks
    stay: Tasks
    owners: Mapping[str, str]
    unlocks: Mapping[str, str]
    alone: str
    early: Mapping[str, int]
    by_hand: tuple[str, ...]
    governance: tuple[Term, ...]
    adoption: tuple[Term, ...]
    games: Games
    worth: Mapping[str, tuple[Term, ...]]
    there: Mapping[str, tuple[Term, ...]]
    keep: Keep
    online_from: float
    after: tuple[After, ...]
    start: Start
    north: North
    target: Target

    def holds(self, where: Answers, answers: Answers) -> bool:
        """Return whether each question named has one of the answers named, or a domain of it."""
        return all(
            any(set(wanted) & self._names(question, name) for name in answers.get(question, ()))
            for question, wanted in where.items()
        )

    def owed(self, answers: Answers) -> tuple[Duty, ...]:
        """Return the duties that hold for these answers."""
        return tuple(
            duty for duty in self.duties if any(self.holds(where, answers) for where in duty.any)
        )

    def _names(self, question: str, name: str) -> set[str]:
        answer = self.questions[question].answer(name)
        return {name, answer.name} if answer else {name}
