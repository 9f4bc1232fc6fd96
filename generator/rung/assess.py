"""Assess a team: from answers to a strategy, a roadmap, and the answers `rung new` takes."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rung import assess_answers, template
from rung.assess_answers import Said
from rung.assess_asking import ask as ask_on
from rung.errors import RungError
from rung.levels import Level
from rung.levels import load as load_levels
from rung.roadmap import Roadmap, roadmap
from rung.strategy import Answers, Choice, Scan, Strategy, from_answers
from rung.strategy.weights import Weights
from rung.strategy.weights import load as load_weights


@dataclass(frozen=True)
class Assessment:
    """A strategy with everything it was made from.

    Args:
        answers: All twelve answers, the assumed ones among them.
        assumed: For each answer that was assumed, because of what.
        choice: What the person decided against the arithmetic.
        project: The answers to give to `rung new`.
    """

    answers: Answers
    assumed: Mapping[str, str]
    choice: Choice
    strategy: Strategy
    roadmap: Roadmap
    project: Mapping[str, Any]
    weights: Weights
    levels: Sequence[Level]


def assess(
    said: Said, weights: Weights, levels: Sequence[Level], scan: Scan | None = None
) -> Assessment:
    """Return the strategy for what was said; what was not said is assumed."""
    assumed = assess_answers.assume(said.answers, weights)
    answers = {
        name: said.answers[name] if name in said.answers else assumed[name][0]
        for name in weights.questions
    }
    strategy = from_answers(answers, weights, scan, said.choice)
    _check(strategy)
    return Assessment(
        answers=answers,
        assumed={name: because for name, (_, because) in assumed.items()},
        choice=said.choice,
        strategy=strategy,
        roadmap=roadmap(strategy, levels, scan),
        project={
            "use_case": strategy.game.played,
            "team_size": weights.team_size[answers["team"][0]],
            "level": strategy.start.level,
        },
        weights=weights,
        levels=levels,
    )


def _check(strategy: Strategy) -> None:
    if strategy.target.level < strategy.start.level:
        raise RungError(
            f"The target you chose, rung {strategy.target.level}, lies below the start, "
            f"rung {strategy.start.level}.\nChoose a lower start, or a higher target."
        )


def gather(
    file: Path | None,
    options: Mapping[str, str | None],
    choice: Choice,
    weights: Weights,
    *,
    ask: bool,
) -> Said:
    """Return what was said: a file's answers, overridden by options, and then by a person.

    Args:
        file: A file of answers.
        options: Answers by question; None where an option was not given.
        choice: What was decided by options; the rest may stand in the file.
        weights: The questions.
        ask: Whether to ask what has no answer yet.
    """
    read = assess_answers.read(file, weights) if file else Said({}, Choice())
    given = {name: value for name, value in options.items() if value is not None}
    answers = {**read.answers, **assess_answers.understand(given, weights, "options: ")}
    if ask and len(answers) < len(weights.questions):
        if not sys.stdin.isatty():
            raise _nobody_to_ask(answers, weights)
        answers = dict(ask_on(answers, weights, sys.stdin, sys.stderr))
    return Said(
        answers,
        Choice(
            choice.game or read.choice.game,
            read.choice.start if choice.start is None else choice.start,
            read.choice.target if choice.target is None else choice.target,
        ),
    )


def _nobody_to_ask(answers: Answers, weights: Weights) -> RungError:
    names = [name for name in weights.questions if name not in answers]
    return RungError(
        f"There is no terminal to ask on, and these questions have no answer: {', '.join(names)}.\n"
        f"Answer them with `--answers FILE` or with options such as `--{names[0]} 1`, "
        "or add `--defaults` to have them assumed."
    )


def advised(file: Path) -> dict[str, Any]:
    """Return the answers for `rung new` from an assessment, or from a file of twelve answers.

    Raises:
        RungError: The file is neither.
    """
    content = assess_answers.load(file)
    if "project" not in content:
        folder = template.folder() / "levels"
        weights = load_weights(folder)
        said = assess_answers.read(file, weights)
        return dict(assess(said, weights, load_levels(folder)).project)
    project = content["project"]
    wanted = ("use_case", "team_size", "level")
    if not isinstance(project, dict) or set(project) != set(wanted):
        raise RungError(
            f"{file}: `project` must hold {', '.join(wanted)}, and nothing else.\n"
            "Write it anew with `rung assess --format json`."
        )
    return project
