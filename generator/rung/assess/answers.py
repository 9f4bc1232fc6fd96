"""The answers to the strategy's questions: read, understood, and assumed where they are missing."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from rung.assess.game import game
from rung.assess.shares import Shares
from rung.assess.strategy import Answers, Choice
from rung.assess.weights import Assumption, Question, Weights
from rung.errors import RungError
from rung.levels import answers as files

GAMES = ("governance", "velocity")
TOP = 4  # the highest rung
LARGEST = 1_000_000  # bytes; all answers take some hundred


@dataclass(frozen=True)
class Responses:
    """A user's answers by question, and their own choices."""

    answers: Answers
    choice: Choice


def read(file: Path, weights: Weights) -> Responses:
    """Read a file of answers, or the JSON that `rung assess` wrote."""
    content = load(file)
    where = f"{file}: "
    given = content
    if "answers" in content:  # what `rung assess --format json` wrote
        given = _mapping(content["answers"], f"{where}`answers`")
        given = given | {"choice": content.get("choice", {})}
    # A question of the form that was left blank has no answer.
    answers = {
        name: value for name, value in given.items() if name != "choice" and value is not None
    }
    return Responses(
        understand(answers, weights, where),
        decide(_mapping(given.get("choice", {}), f"{where}`choice`"), where),
    )


def load(file: Path) -> dict[str, Any]:
    """Return the mapping that a YAML or JSON file holds."""
    if file.exists() and not file.is_file():
        raise RungError(f"{file} is not a file. Name a file of answers.")
    if file.exists() and file.stat().st_size > LARGEST:
        raise RungError(f"{file} is larger than {LARGEST:,} bytes: no file of answers is so large.")
    return files.read(file, unique=True)


def understand(given: Mapping[str, Any], weights: Weights, where: str = "") -> Answers:
    """Return the answers by their names; each may be given by its name or its number, 0 to 3.

    Raises:
        RungError: There is no such question or answer; it says where, and which there are.
    """
    for name in given:
        if name not in weights.questions:
            close = get_close_matches(name, weights.questions, 1)
            meant = f" Did you mean `{close[0]}`?" if close else ""
            raise RungError(
                f"{where}there is no question `{name}`.{meant}\n"
                f"The questions are: {', '.join(weights.questions)}."
            )
    return {
        name: _answer(question, given[name], where)
        for name, question in weights.questions.items()
        if name in given
    }


def _answer(question: Question, given: Any, where: str) -> tuple[str, ...]:
    if isinstance(given, str) and question.several:
        given = [part.strip() for part in given.split(",") if part.strip()]
    values = given if isinstance(given, list) else [given]
    if len(values) != 1 and not question.several:
        raise RungError(f"{where}`{question.id}` takes one answer. {_choices(question)}")
    if not values:
        raise RungError(f"{where}`{question.id}` has no answer. {_choices(question)}")
    return tuple(dict.fromkeys(_name(question, value, where) for value in values))


def _name(question: Question, value: Any, where: str) -> str:
    text = str(value) if type(value) in (int, str) else ""
    name = question.meant(text)
    if name is not None:
        return name
    close = get_close_matches(text.lower(), [*question.names(), *question.synonyms], 1, 0.5)
    near = question.meant(close[0]) if close else None
    meant = f" Did you mean `{near}`?" if near else ""
    if question.id == "domain" and not meant:
        meant = " Where none fits, take the nearest by who may be harmed and which law holds."
    raise RungError(
        f"{where}`{question.id}`: {_shown(value)} is not an answer.{meant} {_choices(question)}"
    )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _choices(question: Question) -> str:
    choices = (
        f"{index} ({', '.join(each.domains or (each.name,))})"
        for index, each in enumerate(question.answers)
    )
    return f"Answer with a number or a name: {', '.join(choices)}."


def decide(given: Mapping[str, Any], where: str = "") -> Choice:
    """Return the user's choices against the arithmetic.

    Raises:
        RungError: The game or rung does not exist, or the target is below the start.
    """
    for name in given:
        if name not in ("game", "start", "target"):
            raise RungError(f"{where}`choice` has no `{name}`. It has game, start and target.")
    chosen_game, start, target = (given.get(name) for name in ("game", "start", "target"))
    if chosen_game is not None and chosen_game not in GAMES:
        raise RungError(f"{where}`game`: {_shown(chosen_game)} is not one of {', '.join(GAMES)}.")
    for name, rung in (("start", start), ("target", target)):
        if rung is not None and (type(rung) is not int or not 0 <= rung <= TOP):
            raise RungError(
                f"{where}`{name}`: {_shown(rung)} is not a rung. Give a number, 0 to {TOP}."
            )
    if start is not None and target is not None and target < start:
        raise RungError(
            f"{where}the target, rung {target}, is below the start, rung {start}. Raise the target."
        )
    return Choice(chosen_game, start, target)


def assume(answers: Answers, weights: Weights) -> dict[str, tuple[tuple[str, ...], str]]:
    """Return, for each question without an answer, what is assumed and because of what."""
    taken: dict[str, tuple[tuple[str, ...], str]] = {}
    for name in weights.questions:
        if name not in answers:
            known = {**answers, **{question: each for question, (each, _) in taken.items()}}
            rule = next(
                rule
                for rule in weights.assumed
                if name in rule.take and _fits(rule, known, weights)
            )
            taken[name] = (rule.take[name], rule.because)
    return taken


def _fits(rule: Assumption, known: Answers, weights: Weights) -> bool:
    everyday = weights.assumed[0].take
    if rule.game is not None:
        # The game depends on two questions; the others may hold anything.
        filler = {name: (question.answers[0].name,) for name, question in weights.questions.items()}
        shares = Shares(weights, {**filler, **everyday, **known})
        if game(shares, None).played != rule.game:
            return False
    return all(
        set({**everyday, **known}.get(name, ())) <= set(wanted)
        for name, wanted in rule.answers.items()
    )


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise RungError(f"{where} must be a mapping of names to values.")
    return value
