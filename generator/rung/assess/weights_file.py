"""Read levels/strategy.yml, and say exactly what is wrong where it is no strategy."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from rung import plain_yaml
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
    Question,
    Step,
    Tasks,
    Term,
    Weights,
)
from rung.errors import RungError
from rung.levels import BLOCKS

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
    weighed = (*questions, *DERIVED)
    start, north, target = document["start"], document["north"], document["target"]
    adoption = document["adoption"]
    return Weights(
        source=document["source"],
        warning=document["warning"],
        questions=questions,
        project={
            name: (_one_of(entry["of"], tuple(questions), "project"), dict(entry["take"]))
            for name, entry in document["project"].items()
        },
        assumed=tuple(_assumption(entry, questions) for entry in document["assumed"]),
        contradictions=tuple(
            Contradiction(
                _given(entry["where"], questions),
                entry["says"],
                _given(entry.get("take", {}), questions),
            )
            for entry in document["contradictions"]
        ),
        duties=tuple(
            Duty(_any(entry, questions), entry["because"], tuple(entry["ask"]))
            for entry in document["duties"]
        ),
        alignment=_tasks(document["alignment"], questions),
        stay=_tasks(document["stay"], questions),
        owners={name: entry["owner"] for name, entry in document["steps"].items()},
        unlocks={name: entry["unlocks"] for name, entry in document["steps"].items()},
        alone=document["alone"],
        early={name: int(rung) for name, rung in document["early"].items()},
        by_hand=tuple(document["by_hand"]),
        governance=tuple(
            _term({"of": name, "weight": weight}, tuple(questions))
            for name, weight in document["governance"].items()
        ),
        adoption=tuple(
            _term({"of": name, "weight": 1 / len(adoption)}, tuple(questions)) for name in adoption
        ),
        velocity_up_to=float(document["games"]["velocity_up_to"]),
        governance_from=float(document["games"]["governance_from"]),
        hybrid_from=float(document["games"]["hybrid_from"]),
        worth={
            _one_of(block, BLOCKS, "worth"): tuple(_term(entry, weighed) for entry in terms)
            for block, terms in document["worth"].items()
        },
        there={
            _one_of(block, BLOCKS, "there"): tuple(
                _term(entry, tuple(questions)) for entry in terms
            )
            for block, terms in document["there"].items()
        },
        keep_from=float(document["keep"]["from"]),
        keep_foundation_gap=float(document["keep"]["foundation_gap"]),
        online_from=float(document["online_from"]),
        after=tuple(_after(entry) for entry in document["after"]),
        start_of=tuple(_one_of(name, tuple(questions), "start.of") for name in start["of"]),
        start_times=float(start["times"]),
        start_at_most=int(start["at_most"]),
        start_at_most_alone=int(start["at_most_alone"]),
        start_with_ci=int(start["with_ci"]),
        north_from=int(north["from"]),
        north_steps=tuple(_step(entry, weighed) for entry in north["steps"]),
        north_governance_at_most=int(north["governance_at_most"]),
        north_governance_because=north["governance_because"],
        north_duties_at_least=int(north["duties_at_least"]),
        north_duties_because=north["duties_because"],
        target_above_start=int(target["above_start"]),
        target_steps=tuple(_step(entry, weighed) for entry in target["steps"]),
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


def _step(entry: Mapping[str, Any], weighed: tuple[str, ...]) -> Step:
    return Step(tuple(_shares(shares, weighed) for shares in entry["any"]), entry["because"])


def _shares(shares: Mapping[str, Any], weighed: tuple[str, ...]) -> Mapping[str, float]:
    return {_one_of(name, weighed, "a step"): float(share) for name, share in shares.items()}


def _one_of(value: Any, allowed: tuple[str, ...], where: str) -> str:
    if value not in allowed:
        raise ValueError(f"{where}: {value!r} is not one of {', '.join(allowed)}.")
    return str(value)
