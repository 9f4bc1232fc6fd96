"""What the strategy asks, and how it weighs the answers: levels/strategy.yml and duties.yml, checked."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Struct, field
from msgspec.structs import force_setattr, replace

from rung.levels import ladder
from rung.levels.ladder import Block

Part = Literal["use_case", "culture", "technology", "people"]
PARTS: tuple[str, ...] = get_args(Part)  # the arguments of `successful_mlops`
Game = Literal["governance", "velocity"]
GAMES: tuple[str, ...] = get_args(Game)
DERIVED = {  # what is weighed besides answers, in words
    "governance": "it must be explained",
    "adoption": "new practice is adopted fast",
    "lightness": "it need not be explained",
    "always": "all else depends on it",
}
Answers = Mapping[str, tuple[str, ...]]  # by question, the names of the answers
Bounds = Mapping[str, float]  # the least shares that count, by question or derived value


class Record(Struct, frozen=True, forbid_unknown_fields=True):
    """A mapping of the file, each of whose keys is a field."""


class Answer(Record, frozen=True):
    """An answer to a question; `share` is what it counts, in [0, 1]."""

    name: str
    says: str
    share: float = 0.0
    domains: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names that can be given for this answer."""
        return self.domains or (self.name,)


class Question(Record, frozen=True):
    """A question; `part` is an argument of `successful_mlops`."""

    part: Part
    short: str
    ask: str
    why: str
    answers: Annotated[tuple[Answer, ...], msgspec.Meta(min_length=4, max_length=4)]
    several: bool = False
    strictest: bool = False
    synonyms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    id: str = ""  # its key in the file

    def __post_init__(self) -> None:
        """Share out 0 to 1 where the file does not."""
        if not any(answer.share for answer in self.answers):
            even = (replace(answer, share=i / 3) for i, answer in enumerate(self.answers))
            force_setattr(self, "answers", tuple(even))

    def answer(self, name: str) -> Answer | None:
        """Return the answer of that name, or the one that has a domain of that name."""
        return next((a for a in self.answers if name in (a.name, *a.domains)), None)

    def share(self, names: Collection[str]) -> float:
        """Return what these answers count together: their mean, or the greatest."""
        shares = [answer.share for answer in map(self.answer, names) if answer]
        return max(shares) if self.strictest else sum(shares) / len(shares)

    def named(self, text: str) -> str | None:
        """Return the name of the answer that a user gave by a number, a name or a synonym."""
        word = "-".join(text.lower().replace("_", " ").replace("-", " ").split())
        if word.isdigit() and int(word) < len(self.answers):
            return self.answers[int(word)].name
        return word if self.answer(word) else self.words.get(word)

    def names(self) -> tuple[str, ...]:
        """Return every name that can be given as an answer, lowest share first."""
        return tuple(name for answer in self.answers for name in answer.names)

    @property
    def words(self) -> dict[str, str]:
        """Return the names of answers by their synonyms."""
        return {word: name for name, words in self.synonyms.items() for word in words}


class Term(Record, frozen=True):
    """A weight on a share, which counts where the shares `since` are reached."""

    name: str = field(name="of")
    weight: float
    since: Bounds = field(name="from", default_factory=dict)


class NewAnswer(Record, frozen=True):
    """An answer for `rung new`, by the answer to a question."""

    question: str = field(name="of")
    take: Mapping[str, str]
    unless: Answers = field(default_factory=dict)
    otherwise: str = ""


class Assumption(Record, frozen=True):
    """Defaults for missing answers, where the game and the other answers hold."""

    because: str
    take: Answers
    game: Game | None = None
    where: Answers = field(default_factory=dict)


class Contradiction(Record, frozen=True):
    """Answers that contradict each other, and what counts instead."""

    where: Answers
    says: str
    take: Answers = field(default_factory=dict)


class Duty(Record, frozen=True):
    """What a law, a supervisor or the harm asks before use, on any rung."""

    law: str
    who: str
    says: str
    article: str = ""
    since: str = ""
    domains: Mapping[str, str] = field(default_factory=dict)
    harm: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()
    task: str = ""

    def holds(self, answers: Answers) -> bool:
        """Return whether the domains and the harm that were answered are among its own."""
        domains = not self.domains or not self.domains.keys().isdisjoint(answers["domain"])
        return domains and (not self.harm or answers["harm"][0] in self.harm)

    def classified(self, answers: Answers) -> str:
        """Return what classifies a model of the domains that were answered."""
        named = (
            f"{name}: {self.domains[name]}" for name in answers["domain"] if name in self.domains
        )
        return "; ".join(named)


class Duties(Record, frozen=True):
    """Everything in levels/duties.yml."""

    checked: str
    covers: str
    duties: tuple[Duty, ...]


class Tasks(Record, frozen=True):
    """A step that no capability stands for."""

    because: str
    tasks: tuple[str, ...]
    effort: str
    any: tuple[Answers, ...] = ()


class Owner(Record, frozen=True):
    """Who answers for a step, and what the step makes possible."""

    owner: str
    unlocks: str


class After(Record, frozen=True):
    """Blocks that come before another block in some circumstances, and why."""

    block: Block
    needs: tuple[Block, ...]
    where: Literal["always", "online", "governance", "weak_ci"]
    because: str

    def without(self, name: str) -> "After | None":
        """Return the rule without a block; None if no other is left."""
        needs = tuple(need for need in self.needs if need != name)
        return replace(self, needs=needs) if needs else None


class Increment(Record, frozen=True):
    """A rung more, where every share of a mapping of `any` is reached."""

    any: tuple[Bounds, ...]
    because: str


class Games(Record, frozen=True):
    """The shares of governance that separate the games."""

    velocity_up_to: float
    governance_from: float
    hybrid_from: float


class Keep(Record, frozen=True):
    """From which priority a block is worked on, from which gap the foundation, and those of rung 4."""

    priority: float = field(name="from")
    foundation_gap: float
    rung_4: tuple[Block, ...]


class Start(Record, frozen=True):
    """The rung to start on: `times` the mean of some answers, within bounds."""

    questions: tuple[str, ...] = field(name="of")
    times: float
    at_most: int
    at_most_alone: int
    with_ci: int


class North(Record, frozen=True):
    """The north star: the rung of every team, and increments, within bounds."""

    lowest: int = field(name="from")
    steps: tuple[Increment, ...]
    governance_at_most: int
    governance_because: str
    online: Bounds
    online_at_least: int
    online_because: str
    duties_at_least: int
    duties_because: str


class Target(Record, frozen=True):
    """The rung for twelve months: above the start, and increments."""

    above_start: int
    steps: tuple[Increment, ...]
    online: Bounds
    online_at_least: int
    online_because: str


class Unwanted(Record, frozen=True):
    """A capability that is not advised where the answers of `where` hold, and why."""

    where: Answers
    what: str
    because: str


class Advice(Record, frozen=True):
    """What is said where the answers of `where` hold."""

    where: Answers
    says: str


class Weights(Record, frozen=True):
    """Everything in levels/strategy.yml; each field is explained there."""

    source: str
    warning: str
    questions: Mapping[str, Question]
    project: Mapping[str, NewAnswer]
    assumed: tuple[Assumption, ...]
    contradictions: tuple[Contradiction, ...]
    alignment: Tasks
    apart: Tasks
    stay: Tasks
    steps: Mapping[str, Owner]
    alone: str
    early: Mapping[str, int]
    unwanted: Mapping[str, Unwanted]
    infrastructure: tuple[Advice, ...]
    governance: tuple[Term, ...]
    games: Games
    adoption: tuple[Term, ...]
    worth: Mapping[Block, tuple[Term, ...]]
    present: Mapping[Block, tuple[Term, ...]] = field(name="there")
    keep: Keep
    tie: float
    online_from: float
    after: tuple[After, ...]
    start: Start
    north: North
    target: Target
    duties: tuple[Duty, ...] = ()  # of their own file
    covers: str = ""  # whose law that file covers

    def __post_init__(self) -> None:
        """Tell the questions their names; refuse names of anything that does not exist."""
        for name, question in self.questions.items():
            force_setattr(question, "id", name)
            self._require_answers({name: question.synonyms}, "questions")
        questions, weighed = tuple(self.questions), (*self.questions, *DERIVED)
        _require((new.question for new in self.project.values()), questions, "project")
        _require(self.start.questions, questions, "start.of")
        _require(_names(self.governance), questions, "governance")
        _require(_names(self.adoption), questions, "adoption")
        for block, terms in self.worth.items():
            _require(_names(terms), weighed, f"worth.{block}")
        for block, terms in self.present.items():
            _require(_names(terms), questions, f"there.{block}")
        for step in (*self.north.steps, *self.target.steps):
            for bounds in step.any:
                _require(bounds, weighed, "steps")
        _require([*self.north.online, *self.target.online], weighed, "online")
        for new in self.project.values():
            self._require_answers(new.unless, "project.unless")
        rules: tuple[Assumption | Contradiction, ...] = (*self.assumed, *self.contradictions)
        for rule in rules:
            self._require_answers(rule.where, "where")
            self._require_answers(rule.take, "take")
        for unwanted in self.unwanted.values():
            self._require_answers(unwanted.where, "unwanted.where")
        for advice in self.infrastructure:
            self._require_answers(advice.where, "infrastructure.where")
        for answers in self.apart.any:
            self._require_answers(answers, "apart.any")
        for duty in self.duties:
            self._require_answers({"domain": duty.domains, "harm": duty.harm}, "duties")

    def _require_answers(self, answers: Mapping[str, Iterable[str]], where: str) -> None:
        _require(answers, self.questions, where)
        for name, names in answers.items():
            question = self.questions[name]
            unknown = [answer for answer in names if question.answer(answer) is None]
            _require(unknown, question.names(), f"{where}.{name}")

    def hold(self, where: Answers, answers: Answers) -> bool:
        """Return whether these answers hold, for each question of `where`, one of those named."""
        for name, wanted in where.items():
            names = answers.get(name, ())
            domains = {a.name for a in map(self.questions[name].answer, names) if a}
            if not {*names, *domains} & set(wanted):
                return False
        return True

    def duties_for(self, answers: Answers) -> tuple[Duty, ...]:
        """Return the duties that hold for these answers."""
        return tuple(duty for duty in self.duties if duty.holds(answers))


def load(folder: Path) -> Weights:
    """Read strategy.yml and duties.yml of the folder `levels`."""
    weights = ladder.decoded(folder / "strategy.yml", Weights)
    path = folder / "duties.yml"
    read = ladder.decoded(path, Duties)
    try:
        return replace(weights, duties=read.duties, covers=read.covers)
    except ValueError as error:
        raise ladder.wrong(path, str(error)) from error


def _names(terms: Iterable[Term]) -> list[str]:
    return [name for term in terms for name in (term.name, *term.since)]


def _require(names: Iterable[str], allowed: Collection[str], where: str) -> None:
    for name in names:
        if name not in allowed:
            raise ValueError(f"{where}: {name!r} is not one of {', '.join(allowed)}")
