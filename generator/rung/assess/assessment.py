"""Assess a team: from answers to a strategy, a roadmap, and the answers `rung new` takes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rung.assess import answers as responses_of
from rung.assess.answers import METRIC, Responses
from rung.assess.roadmap import Planner, Roadmap
from rung.assess.strategy import Choice, Scan, Strategy, from_answers
from rung.assess.weights import Answers, Weights
from rung.assess.weights import load as load_weights
from rung.errors import RungError
from rung.levels import template
from rung.levels.ladder import Level
from rung.levels.ladder import load as load_levels
from rung.levels.template_answers import ANSWERS

# Questions of `rung new`.
PROJECT = ("use_case", "team_size", "data", "compute", "tracking", "level")
DOCUMENTS = "documents"
OPTIONAL = {METRIC, DOCUMENTS}


@dataclass(frozen=True)
class Assessment:
    """A strategy with everything it was made from."""

    answers: Answers  # the assumed ones among them
    counted: Answers  # the safe ones in place of those that contradict each other
    assumed: Mapping[str, str]  # for each answer that was assumed, because of what
    choice: Choice
    contradictions: tuple[str, ...]
    scan: Scan | None
    measured: tuple[str, ...]  # questions that the scan answers, unless all were answered
    strategy: Strategy
    roadmap: Roadmap
    project: Mapping[str, Any]  # the answers to give to `rung new`
    impact_metric: str  # the number of the business that the model is to move; empty if not known
    weights: Weights
    levels: Sequence[Level]


def assess(
    responses: Responses,
    weights: Weights,
    levels: Sequence[Level],
    scan_by_game: Callable[[str], Scan] | None = None,
) -> Assessment:
    """Return the strategy for the responses; missing answers are assumed."""
    assumed = responses_of.assume(responses.answers, weights)
    known = {name: names for name, (names, _) in assumed.items()} | dict(responses.answers)
    answers = {name: known[name] for name in weights.questions}
    contradictions, counted = _contradictions(answers, weights)
    strategy, scan = from_answers(counted, weights, None, responses.choice), None
    measured: tuple[str, ...] = ()
    if scan_by_game is not None:
        if not responses.answers.keys() >= set(measurable(weights)):
            measured = measurable(weights)
        scan = scan_by_game(strategy.game.played)
        strategy = from_answers(counted, weights, scan, responses.choice, measured=bool(measured))
    project = {
        "use_case": strategy.game.played,
        **{
            name: new.otherwise
            if new.unless and weights.hold(new.unless, answers)
            else new.take[answers[new.question][0]]
            for name, new in weights.project.items()
        },
        "level": strategy.start.level,
        **({METRIC: responses.impact_metric} if responses.impact_metric else {}),
    }
    roadmap = Planner(strategy, counted, project, weights, levels, scan).roadmap()
    # A document is owed that no rung up to the target brings by itself.
    if any(item.records and not item.brought for step in roadmap.steps for item in step.to_do):
        project[DOCUMENTS] = "now"
    return Assessment(
        answers=answers,
        counted=counted,
        assumed={n: because for n, (_, because) in assumed.items() if n not in measured},
        choice=responses.choice,
        contradictions=(*contradictions, *_target_contradictions(strategy)),
        scan=scan,
        measured=measured,
        strategy=strategy,
        roadmap=roadmap,
        project=project,
        impact_metric=responses.impact_metric,
        weights=weights,
        levels=levels,
    )


def measurable(weights: Weights) -> tuple[str, ...]:
    """Return the questions whose answers a scan of a repository replaces."""
    return tuple(q.id for q in weights.questions.values() if q.part == "technology")


def measure(path: Path, game: str, capabilities: Path | None = None) -> Scan:
    """Read the repository in a folder, without running it, as a game judges it."""
    from rung.check.review.review import review  # the whole analyser: only where it is needed

    if not path.is_dir():
        raise RungError(f"{path} is not a folder. Give `--scan` the folder of a repository.")
    read = review(path, game, capabilities_of=capabilities)
    answers = read.answers or {}
    governed = answers.get("use_case") == "governance"
    return Scan(
        level=read.level,
        coverage={block: points for block, (points, _) in read.rating.profile.items()},
        points={name: finding.points for name, finding in read.findings.items()},
        waived=frozenset(name for name, finding in read.findings.items() if finding.waived),
        notes=tuple(read.notes),
        rung=(path / ANSWERS).is_file(),
        governed=governed,
        documents=governed and answers.get(DOCUMENTS) == "now",
    )


def advised(file: Path) -> dict[str, Any]:
    """Return the answers for `rung new` from an assessment, or from a file of answers."""
    content = responses_of.load(file)
    if "project" not in content:
        folder = template.folder() / "levels"
        weights = load_weights(folder)
        return dict(assess(responses_of.read(file, weights), weights, load_levels(folder)).project)
    project = content["project"]
    if not isinstance(project, dict) or {*project} - OPTIONAL != {*PROJECT}:
        raise RungError(
            f"{file}: `project` must hold {', '.join(PROJECT)}, and nothing else.\n"
            "Write it again with `rung assess --format json`."
        )
    return project


def _contradictions(answers: Answers, weights: Weights) -> tuple[list[str], Answers]:
    """Return contradictions, and the answers that count: in a contradiction, the safe side."""
    reasons, counted = [], dict(answers)
    for rule in weights.contradictions:
        if weights.hold(rule.where, counted):
            safe = ", ".join(f"{name} {', '.join(names)}" for name, names in rule.take.items())
            reasons.append(rule.says + (f"; counted as {safe}" if safe else ""))
            counted |= rule.take
    return reasons, counted


def _target_contradictions(strategy: Strategy) -> list[str]:
    """Return how the target contradicts the north star; refuse a target below the start."""
    start, target, north = strategy.start.level, strategy.target.level, strategy.north.level
    if target < start:
        raise RungError(
            f"The target you chose, rung {target}, is below the start, rung {start}.\n"
            "Choose a lower start, or a higher target."
        )
    if target > north > start:
        above = f"the target, rung {target}, is above the north star, rung {north}"
        return [f"{above}: no answer requires it"]
    return []
