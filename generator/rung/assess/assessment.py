"""Assess a team: from answers to a strategy, a roadmap, and the answers `rung new` takes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rung.assess import answers as answers_of
from rung.assess.answers import Responses
from rung.assess.roadmap import roadmap
from rung.assess.steps import Roadmap
from rung.assess.strategy import Answers, Choice, Scan, Strategy, from_answers
from rung.assess.weights import Weights
from rung.assess.weights_file import load as load_weights
from rung.errors import RungError
from rung.levels import template
from rung.levels.ladder import Level
from rung.levels.ladder import load as load_levels


@dataclass(frozen=True)
class Assessment:
    """A strategy with everything it was made from.

    Args:
        answers: All answers, the assumed ones among them.
        assumed: For each answer that was assumed, because of what.
        choice: What the person decided against the arithmetic.
        contradictions: What does not go together in the answers and decisions.
        scan: What was measured in a repository, if one was scanned.
        measured: Whether technology was measured by that scan instead of being answered.
        project: The answers to give to `rung new`.
    """

    answers: Answers
    assumed: Mapping[str, str]
    choice: Choice
    contradictions: tuple[str, ...]
    scan: Scan | None
    measured: bool
    strategy: Strategy
    roadmap: Roadmap
    project: Mapping[str, Any]
    weights: Weights
    levels: Sequence[Level]


def assess(
    responses: Responses,
    weights: Weights,
    levels: Sequence[Level],
    scan_by_game: Callable[[str], Scan] | None = None,
) -> Assessment:
    """Return the strategy for the responses; missing answers are assumed.

    Args:
        responses: Answers and decisions.
        weights: The questions and what the answers weigh.
        levels: The ladder, lowest rung first.
        scan_by_game: Measures a repository by a game's demands.
    """
    assumed = answers_of.assume(responses.answers, weights)
    answers = {
        name: responses.answers[name] if name in responses.answers else assumed[name][0]
        for name in weights.questions
    }
    contradictions, counted = _contradictions(answers, weights)
    strategy, scan, by_scan = _strategy(counted, responses, weights, scan_by_game)
    contradictions += _of_target(strategy)
    project = {
        "use_case": strategy.game.played,
        **{name: take[answers[of][0]] for name, (of, take) in weights.project.items()},
        "level": strategy.start.level,
    }
    return Assessment(
        answers=answers,
        assumed={
            name: because
            for name, (_, because) in assumed.items()
            if not (by_scan and name in measured(weights))
        },
        choice=responses.choice,
        contradictions=tuple(contradictions),
        scan=scan,
        measured=by_scan,
        strategy=strategy,
        roadmap=roadmap(strategy, counted, project, weights, levels, scan),
        project=project,
        weights=weights,
        levels=levels,
    )


def _strategy(
    answers: Answers,
    responses: Responses,
    weights: Weights,
    scan_by_game: Callable[[str], Scan] | None,
) -> tuple[Strategy, Scan | None, bool]:
    """Return the strategy, the scan by its game, and whether that scan replaces answers."""
    strategy = from_answers(answers, weights, None, responses.choice)
    if scan_by_game is None:
        return strategy, None, False
    scan = scan_by_game(strategy.game.played)
    by_scan = not set(measured(weights)) <= set(responses.answers)
    strategy = from_answers(answers, weights, scan, responses.choice, measured=by_scan)
    return strategy, scan, by_scan


def _contradictions(answers: Answers, weights: Weights) -> tuple[list[str], Answers]:
    """Return contradictions, and the answers that count: in a contradiction, the safe side."""
    reasons, counted = [], dict(answers)
    for entry in weights.contradictions:
        if weights.holds(entry.where, counted):
            instead = ", ".join(f"{name} {', '.join(each)}" for name, each in entry.take.items())
            reasons.append(entry.says + (f"; counted as {instead}" if instead else ""))
            counted |= entry.take
    return reasons, counted


def measured(weights: Weights) -> tuple[str, ...]:
    """Return the questions whose answers count for nothing if a repository was scanned."""
    return tuple(name for name, asked in weights.questions.items() if asked.part == "technology")


def _of_target(strategy: Strategy) -> list[str]:
    """Return how the target contradicts the north star; refuse one below the start."""
    if strategy.target.level < strategy.start.level:
        raise RungError(
            f"The target you chose, rung {strategy.target.level}, is below the start, "
            f"rung {strategy.start.level}.\nChoose a lower start, or a higher target."
        )
    if strategy.target.level > strategy.north.level > strategy.start.level:
        reason = (
            f"the target, rung {strategy.target.level}, is above the north star, "
            f"rung {strategy.north.level}: nothing that was answered calls for it"
        )
        return [reason]
    return []


def advised(file: Path) -> dict[str, Any]:
    """Return the answers for `rung new` from an assessment, or from a file of answers.

    Raises:
        RungError: The file is neither.
    """
    content = answers_of.load(file)
    if "project" not in content:
        folder = template.folder() / "levels"
        weights = load_weights(folder)
        responses = answers_of.read(file, weights)
        return dict(assess(responses, weights, load_levels(folder)).project)
    project = content["project"]
    wanted = ("use_case", "team_size", "data", "compute", "tracking", "level")
    if not isinstance(project, dict) or set(project) != set(wanted):
        raise RungError(
            f"{file}: `project` must hold {', '.join(wanted)}, and nothing else.\n"
            "Write it again with `rung assess --format json`."
        )
    return project
