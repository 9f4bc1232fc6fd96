"""Read levels/strategy.yml, and say exactly what is wrong with it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from rung.assess.weights import (
    CIRCUMSTANCES,
    DERIVED,
    PARTS,
    After,
    Answer,
    Answers,
    Assumption,
    Contradiction,
    Duty,
    Games,
    Keep,
    North,
    Question,
    Start,
    Step,
    Target,
    Tasks,
    Term,
    Weights,
)
from rung.errors import RungError
from rung.levels.ladder import BLOCKS
from rung.system import plain_yaml

GAMES = ("governance", "velocity")
ANSWERS = 4


def load(folder: Path) -> Weights:
    """Read strategy.yml of the folder `levels`.

    Raises:
        RungError: It is missing, or does not say what a strategy must.
    """
    path = folder / "strategy.yml"
    try:
        document = plain_yaml.load(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise RungError(f"{path} is missing. Reinstall Rung, or restore the file.") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RungError(f"{path} cannot be read as YAML: {error}") from error
    try:
        return _weights(document)
    except KeyError as error:
        raise RungError(f"{path}: the key `{error.args[0]}` is missing.") from error
    except (AttributeError, TypeError, ValueError) as error:
        raise RungError(f"{path}: {error}") from error


def _weights(document: Mapping[str, Any]) -> Weights:
    questions = {name: _question(name, data) for name, data in document["questions"].items()}
    asked, weighed = tuple(questions), (*questions, *DERIVED)
    return Weights(
        source=document["source"],
        warning=document["warning"],
        questions=questions,
        project={
            name: (_one_of(entry["of"], asked, "project"), dict(entry["take"]))
            for name, entry in document["project"].items()
        },
        assumed=tuple(_assumption(entry, questions) for entry in document["assumed"]),
        contradictions=tuple(
            _contradiction(entry, questions) for entry in document["contradictions"]
        ),
        duties=tuple(_duty(entry, questions) for entry in document["duties"]),
        alignment=_tasks(document["alignment"], questions),
        stay=_tasks(document["stay"], questions),
        owners={name: entry["owner"] for name, entry in document["steps"].items()},
        unlocks={name: entry["unlocks"] for name, entry in document["steps"].items()},
        alone=document["alone"],
        early={name: int(rung) for name, rung in document["early"].items()},
        by_hand=tuple(document["by_hand"]),
        governance=_terms(document["governance"], asked),
        adoption=_terms(dict.fromkeys(document["adoption"], 1 / len(document["adoption"])), asked),
        games=_games(document["games"]),
        worth=_by_block(document["worth"], weighed, "worth"),
        there=_by_block(document["there"], asked, "there"),
        keep=_keep(document["keep"]),
        online_from=float(document["online_from"]),
        after=tuple(_after(entry) for entry in document["after"]),
        start=_start(document["start"], asked),
        north=_north(document["north"], weighed),
        target=_target(document["target"], weighed),
    )


def _question(name: str, data: Mapping[str, Any]) -> Question:
    entries = data["answers"]
    if len(entries) != ANSWERS:
        raise ValueError(
            f"questions.{name} has {len(entries)} answers; each question has {ANSWERS}."
        )
    answers = tuple(
        Answer(
            entry["name"],
            entry["says"],
            float(entry.get("share", index / (ANSWERS - 1))),
            tuple(entry.get("domains", ())),
        )
        for index, entry in enumerate(entries)
    )
    part = _one_of(data["part"], PARTS, f"questions.{name}.part")
    names = {name for answer in answers for name in (answer.name, *answer.domains)}
    synonyms = {
        word: _one_of(meant, tuple(names), f"questions.{name}.synonyms")
        for meant, others in data.get("synonyms", {}).items()
        for word in others
        if word not in names
    }
    several = bool(data.get("several"))
    return Question(name, part, data["short"], data["ask"], data["why"], answers, several, synonyms)


def _assumption(entry: Mapping[str, Any], questions: Mapping[str, Question]) -> Assumption:
    where = dict(entry.get("where", {}))
    game = where.pop("game", None)
    if game is not None:
        _one_of(game, GAMES, "assumed.where.game")
    return Assumption(
        entry["because"], _given(entry["take"], questions), game, _given(where, questions)
    )


def _contradiction(entry: Mapping[str, Any], questions: Mapping[str, Question]) -> Contradiction:
    return Contradiction(
        _given(entry["where"], questions),
        entry["says"],
        _given(entry.get("take", {}), questions),
    )


def _duty(entry: Mapping[str, Any], questions: Mapping[str, Question]) -> Duty:
    return Duty(_any(entry, questions), entry["because"], tuple(entry["ask"]))


def _any(entry: Mapping[str, Any], questions: Mapping[str, Question]) -> tuple[Answers, ...]:
    return tuple(_given(answers, questions) for answers in entry.get("any", ()))


def _tasks(entry: Mapping[str, Any], questions: Mapping[str, Question]) -> Tasks:
    return Tasks(_any(entry, questions), entry["because"], tuple(entry["tasks"]), entry["effort"])


def _given(answers: Mapping[str, Any], questions: Mapping[str, Question]) -> Answers:
    given = {
        name: (value,) if isinstance(value, str) else tuple(value)
        for name, value in answers.items()
    }
    for name, values in given.items():
        question = questions[_one_of(name, tuple(questions), "assumed")]
        for value in values:
            if question.answer(value) is None:
                _one_of(value, question.names(), name)
    return given


def _terms(weights: Mapping[str, Any], asked: tuple[str, ...]) -> tuple[Term, ...]:
    return tuple(_term({"of": name, "weight": weight}, asked) for name, weight in weights.items())


def _by_block(
    entries: Mapping[str, Any], weighed: tuple[str, ...], where: str
) -> dict[str, tuple[Term, ...]]:
    return {
        _one_of(block, BLOCKS, where): tuple(_term(entry, weighed) for entry in terms)
        for block, terms in entries.items()
    }


def _term(entry: Mapping[str, Any], weighed: tuple[str, ...]) -> Term:
    return Term(
        _one_of(entry["of"], weighed, "a weight"),
        float(entry["weight"]),
        _shares(entry.get("from", {}), weighed),
    )


def _after(entry: Mapping[str, Any]) -> After:
    return After(
        _one_of(entry["block"], BLOCKS, "after.block"),
        tuple(_one_of(block, BLOCKS, "after.needs") for block in entry["needs"]),
        _one_of(entry["where"], CIRCUMSTANCES, "after.where"),
        entry["because"],
    )


def _games(entry: Mapping[str, Any]) -> Games:
    return Games(
        velocity_up_to=float(entry["velocity_up_to"]),
        governance_from=float(entry["governance_from"]),
        hybrid_from=float(entry["hybrid_from"]),
    )


def _keep(entry: Mapping[str, Any]) -> Keep:
    return Keep(priority=float(entry["from"]), foundation_gap=float(entry["foundation_gap"]))


def _start(entry: Mapping[str, Any], asked: tuple[str, ...]) -> Start:
    return Start(
        of=tuple(_one_of(name, asked, "start.of") for name in entry["of"]),
        times=float(entry["times"]),
        at_most=int(entry["at_most"]),
        at_most_alone=int(entry["at_most_alone"]),
        with_ci=int(entry["with_ci"]),
    )


def _north(entry: Mapping[str, Any], weighed: tuple[str, ...]) -> North:
    return North(
        lowest=int(entry["from"]),
        steps=tuple(_step(each, weighed) for each in entry["steps"]),
        governance_at_most=int(entry["governance_at_most"]),
        governance_because=entry["governance_because"],
        duties_at_least=int(entry["duties_at_least"]),
        duties_because=entry["duties_because"],
    )


def _target(entry: Mapping[str, Any], weighed: tuple[str, ...]) -> Target:
    return Target(
        above_start=int(entry["above_start"]),
        steps=tuple(_step(each, weighed) for each in entry["steps"]),
    )


def _step(entry: Mapping[str, Any], weighed: tuple[str, ...]) -> Step:
    return Step(tuple(_shares(shares, weighed) for shares in entry["any"]), entry["because"])


def _shares(shares: Mapping[str, Any], weighed: tuple[str, ...]) -> Mapping[str, float]:
    return {_one_of(name, weighed, "a step"): float(share) for name, share in shares.items()}


def _one_of(value: Any, allowed: tuple[str, ...], where: str) -> str:
    if value not in allowed:
        raise ValueError(f"{where}: {value!r} is not one of {', '.join(allowed)}.")
    return str(value)
