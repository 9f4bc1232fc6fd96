"""What the strategy asks, and how it weighs the answers: levels/strategy.yml, checked as it is read."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

import msgspec
import yaml
from msgspec import Struct, field
from msgspec.structs import force_setattr, replace

from rung.errors import RungError
from rung.levels.ladder import BLOCKS
from rung.system import plain_yaml

PARTS = ("use_case", "culture", "technology", "people")  # the arguments of `successful_mlops`
GAMES = ("governance", "velocity")
DERIVED = ("governance", "adoption", "lightness", "always")  # what is weighed besides answers
CIRCUMSTANCES = ("always", "online", "governance", "weak_ci")
ANSWERS = 4  # to each question
Answers = Mapping[str, tuple[str, ...]]  # by question, the names of the answers
Bounds = Mapping[str, float]  # the least shares that count, by question or derived value


class Record(Struct, frozen=True, forbid_unknown_fields=True):
    """A mapping of the file, each of whose keys is a field."""


class Answer(Record):
    """One of a question's four answers; `share` is what it counts, in [0, 1]."""

    name: str
    says: str
    share: float = 0.0
    domains: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names that can be given for this answer."""
        return self.domains or (self.name,)


class Question(Record):
    """A question; `part` is an argument of `successful_mlops`."""

    part: str
    short: str
    ask: str
    why: str
    answers: tuple[Answer, ...]
    several: bool = False
    synonyms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    id: str = ""  # its key in the file

    def __post_init__(self) -> None:
        """Share out 0 to 1 where the file does not."""
        if not any(answer.share for answer in self.answers):
            even = (replace(a, share=i / (ANSWERS - 1)) for i, a in enumerate(self.answers))
            force_setattr(self, "answers", tuple(even))

    def answer(self, name: str) -> Answer | None:
        """Return the answer of that name, or the one that has a domain of that name."""
        return next((a for a in self.answers if name in (a.name, *a.domains)), None)

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


class Term(Record):
    """A weight on a share, which counts where the shares `since` are reached."""

    name: str = field(name="of")
    weight: float
    since: Bounds = field(name="from", default_factory=dict)


class NewAnswer(Record):
    """An answer for `rung new`, by the answer to a question."""

    question: str = field(name="of")
    take: Mapping[str, str]


class Assumption(Record):
    """Defaults for missing answers, where the game and the other answers hold."""

    because: str
    take: Answers
    game: str | None = None
    where: Answers = field(default_factory=dict)


class Contradiction(Record):
    """Answers that contradict each other, and what counts instead."""

    where: Answers
    says: str
    take: Answers = field(default_factory=dict)


class Duty(Record):
    """Capabilities that law or harm requires on any rung where one of `any` holds."""

    any: tuple[Answers, ...]
    because: str
    ask: tuple[str, ...]


class Tasks(Record):
    """A step that no capability stands for."""

    because: str
    tasks: tuple[str, ...]
    effort: str
    any: tuple[Answers, ...] = ()


class Owner(Record):
    """Who answers for a step, and what the step makes possible."""

    owner: str
    unlocks: str


class After(Record):
    """Blocks that come before another block, in one of the CIRCUMSTANCES."""

    block: str
    needs: tuple[str, ...]
    where: str
    because: str

    def __post_init__(self) -> None:
        """Refuse an unknown block or circumstance."""
        for block in (self.block, *self.needs):
            _require(block, BLOCKS, "a block")
        _require(self.where, CIRCUMSTANCES, "where")


class Increment(Record):
    """A rung more, where every share of a mapping of `any` is reached."""

    any: tuple[Bounds, ...]
    because: str


class Games(Record):
    """The shares of governance that separate the games."""

    velocity_up_to: float
    governance_from: float
    hybrid_from: float


class Keep(Record):
    """From which priority a block is worked on, and from which gap the foundation is."""

    priority: float = field(name="from")
    foundation_gap: float


class Start(Record):
    """The rung to start on: `times` the mean of some answers, within bounds."""

    questions: tuple[str, ...] = field(name="of")
    times: float
    at_most: int
    at_most_alone: int
    with_ci: int


class North(Record):
    """The north star: the rung of every team, and increments, within bounds."""

    lowest: int = field(name="from")
    steps: tuple[Increment, ...]
    governance_at_most: int
    governance_because: str
    duties_at_least: int
    duties_because: str


class Target(Record):
    """The rung for twelve months: above the start, and increments."""

    above_start: int
    steps: tuple[Increment, ...]


class Weights(Record):
    """Everything in levels/strategy.yml; each field is explained there."""

    source: str
    warning: str
    questions: Mapping[str, Question]
    project: Mapping[str, NewAnswer]
    assumed: tuple[Assumption, ...]
    contradictions: tuple[Contradiction, ...]
    duties: tuple[Duty, ...]
    alignment: Tasks
    stay: Tasks
    steps: Mapping[str, Owner]
    alone: str
    early: Mapping[str, int]
    by_hand: tuple[str, ...]
    governance: tuple[Term, ...]
    games: Games
    adoption: tuple[Term, ...]
    worth: Mapping[str, tuple[Term, ...]]
    there: Mapping[str, tuple[Term, ...]]
    keep: Keep
    online_from: float
    after: tuple[After, ...]
    start: Start
    north: North
    target: Target

    def __post_init__(self) -> None:
        """Tell the questions their names; refuse names of anything that does not exist."""
        for name, question in self.questions.items():
            force_setattr(question, "id", name)
            if len(question.answers) != ANSWERS:
                number = len(question.answers)
                raise ValueError(
                    f"questions.{name} has {number} answers; each question has {ANSWERS}."
                )
            _require(question.part, PARTS, f"questions.{name}.part")
            self._require_answers(name, question.synonyms, f"questions.{name}.synonyms")
        for where, name, allowed in self._names():
            _require(name, allowed, where)
        for where, answers in self._answers():
            for name, given in answers.items():
                _require(name, self.questions, where)
                self._require_answers(name, given, f"{where}.{name}")

    def _require_answers(self, question: str, names: Iterable[str], where: str) -> None:
        for name in names:
            if self.questions[question].answer(name) is None:
                _require(name, self.questions[question].names(), where)

    def _names(self) -> Iterator[tuple[str, str, Collection[str]]]:
        """Yield where a question, a derived value, a block or a game is named, and which there are."""
        asked, weighed = tuple(self.questions), (*self.questions, *DERIVED)
        for key, answer in self.project.items():
            yield f"project.{key}.of", answer.question, asked
        for question in self.start.questions:
            yield "start.of", question, asked
        for rule in self.assumed:
            yield "assumed.game", rule.game or GAMES[0], GAMES
        for key, blocks in (("worth", self.worth), ("there", self.there)):
            for block in blocks:
                yield key, block, BLOCKS
        terms = {"governance": self.governance, "adoption": self.adoption}
        terms |= {f"there.{block}": values for block, values in self.there.items()}
        for allowed, by_key in (
            (asked, terms),
            (weighed, {f"worth.{block}": values for block, values in self.worth.items()}),
        ):
            for key, values in by_key.items():
                for term in values:
                    for name in (term.name, *term.since):
                        yield key, name, allowed
        for key, steps in (("north", self.north.steps), ("target", self.target.steps)):
            for name in (name for step in steps for bounds in step.any for name in bounds):
                yield f"{key}.steps", name, weighed

    def _answers(self) -> Iterator[tuple[str, Answers]]:
        """Yield where answers are named, and which."""
        for rule in (*self.assumed, *self.contradictions):
            key = "assumed" if isinstance(rule, Assumption) else "contradictions"
            yield f"{key}.where", rule.where
            yield f"{key}.take", rule.take
        for key, alternatives in (
            *(("duties", duty.any) for duty in self.duties),
            ("alignment", self.alignment.any),
            ("stay", self.stay.any),
        ):
            for answers in alternatives:
                yield f"{key}.any", answers

    def hold(self, where: Answers, answers: Answers) -> bool:
        """Return whether each question of `where` has one of its answers there, or a domain of it."""
        for name, wanted in where.items():
            given = [(g, self.questions[name].answer(g)) for g in answers.get(name, ())]
            if not any({g, a.name if a else g} & set(wanted) for g, a in given):
                return False
        return True

    def duties_for(self, answers: Answers) -> tuple[Duty, ...]:
        """Return the duties that hold for these answers."""
        return tuple(
            duty for duty in self.duties if any(self.hold(where, answers) for where in duty.any)
        )


def load(folder: Path) -> Weights:
    """Read strategy.yml of the folder `levels`.

    Raises:
        RungError: It is missing, or does not hold what a strategy must.
    """
    path = folder / "strategy.yml"
    try:
        return msgspec.convert(plain_yaml.load(path.read_text("utf-8")), Weights)
    except FileNotFoundError as error:
        raise RungError(f"{path} is missing. Reinstall Rung, or restore the file.") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RungError(f"{path} cannot be read as YAML: {error}") from error
    except msgspec.ValidationError as error:
        raise RungError(f"{path}: {error}\nReinstall Rung, or correct the file.") from error


def _require(name: str, allowed: Collection[str], where: str) -> None:
    if name not in allowed:
        raise ValueError(f"{where}: {name!r} is not one of {', '.join(allowed)}.")
