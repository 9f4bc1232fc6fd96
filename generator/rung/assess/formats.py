"""The formats of an assessment: text for a terminal, JSON, Markdown, and a page of HTML."""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from msgspec import to_builtins

from rung.assess import phrases
from rung.assess.answers import METRIC
from rung.assess.assessment import Assessment
from rung.assess.roadmap import BEFORE_USE, Item, Step
from rung.assess.strategy import Block
from rung.system import terminal

WIDTH = 96  # of text; only commands may be longer
FIRST = 3  # steps that are presented; the others are named


def text(assessment: Assessment, *, explain: bool) -> str:
    """Return ten lines to present, the commands, and on request the reasons."""
    return "\n".join([*_summary(assessment), *(_details(assessment) if explain else ())]) + "\n"


def _summary(assessment: Assessment) -> Iterator[str]:
    strategy, steps = assessment.strategy, assessment.roadmap.steps
    start, target = strategy.start.level, strategy.target.level
    yield from _fold(
        f"Use case   {phrases.game(assessment)}",
        f"Success    {phrases.success(assessment)}",
        f"Start      {phrases.title(assessment, start)}: {phrases.clause(strategy.start)}",
        f"Target     {phrases.title(assessment, target)}, within a year, at most "
        f"{strategy.north.level}: {phrases.clause(strategy.target)}",
    )
    for number, step in enumerate(steps[:FIRST], start=1):
        yield f"{number} {phrases.step_title(step)} (Q{step.quarter}, {step.owner}): {step.unlocks}"
        effort = f"{phrases.by_hand(step.days)} by hand; with Rung: {phrases.with_rung(step)}"
        yield from _fold(f"{phrases.why(step)}; {effort}", indent=2)
    yield ""
    if strategy.game.name != strategy.game.played:
        yield from _fold(f"The project is for {strategy.game.played}: {strategy.game.because}.")
    for step in steps:
        if step.name == BEFORE_USE:
            owed = ", ".join(item.capability.id for item in step.items)
            yield "Required before use (a reminder, not legal advice):"
            yield from _fold(*(f"- {reason}." for reason in phrases.reasons(step)), indent=2)
            yield from _fold(f"which requires {owed}." if owed else "", indent=2)
    yield from _fold(f"Law covered: {assessment.weights.covers}")
    for advice in phrases.infrastructure(assessment):
        yield from _fold(f"Machines: {advice}")
    for tie in phrases.ties(assessment):
        yield from _fold(f"A tie: {tie}.")
    if rest := [f"{phrases.step_title(step)} (Q{step.quarter})" for step in steps[FIRST:]]:
        yield from _fold(f"Then: {', '.join(rest)}")
    for reason in assessment.contradictions:
        yield from _fold(f"Contradiction: {reason}.")
    if assessment.assumed:
        assumed = (f"{n}: {phrases.in_words(assessment, n)}" for n in assessment.assumed)
        yield from _fold(f"Assumed, as not answered: {'; '.join(assumed)}.")
    yield "The commands:"
    for command, brings in phrases.commands(assessment):
        yield f"  {command}"
        yield from _fold(f"# {brings}", indent=6)
    yield from _fold(assessment.weights.warning)


def _details(assessment: Assessment) -> Iterator[str]:
    strategy = assessment.strategy
    yield f"\nUse case: {strategy.game.name}"
    yield from _fold(f"because {strategy.game.because}", indent=2)
    yield from _fold(*phrases.terms(strategy.game.score), indent=4)
    yield f"Pace of adoption: {strategy.adoption.total:.2f} of 1"
    yield from _fold(*phrases.terms(strategy.adoption), indent=4)
    for name, rung, promise in phrases.rungs(assessment):
        yield from _fold(f"{name}: {phrases.title(assessment, rung.level)}: {promise}")
        yield from _fold(*rung.because, indent=4)
    for number, step in enumerate(assessment.roadmap.steps, start=1):
        yield from _step_details(number, step)
    if assessment.roadmap.keystones:
        yield "\nTo reach the target anyway"
        yield from _fold(*phrases.keystones(assessment), indent=2)
    yield "\nNot yet"
    yield from _fold(*(f"{n.what}: {n.because}" for n in assessment.roadmap.not_yet), indent=2)
    yield "\nAnswers"
    for ask, answer, note in phrases.answered(assessment):
        yield from _fold(f"{ask} {answer}{f' ({note})' if note else ''}", indent=2)
    yield ""
    yield from _fold(phrases.EFFORT)


def _step_details(number: int, step: Step) -> Iterator[str]:
    yield f"\n{number} {phrases.step_title(step)}"
    if step.block:
        yield f"  priority {phrases.priority(step.block)}"
        yield from _fold(*phrases.terms(step.block.worth), indent=4)
    yield from _fold(*(*phrases.reasons(step), *step.tasks), indent=4)
    for item in step.items:
        yield from _fold(f"- {item.capability.id} (rung {item.rung}, {item.state})", indent=2)
        yield from _fold(f"{item.capability.why} Because {'; '.join(item.because)}.", indent=4)
        if item in step.to_do:
            yield from _fold(
                f"To do: {item.capability.fix}",
                f"By hand {item.capability.effort}; with Rung: {item.with_rung}.",
                f"Source: {item.capability.source}",
                indent=4,
            )
    if step.later:
        yield from _fold(f"later, with its rung: {phrases.later(step)}", indent=2)


def _fold(*texts: str, indent: int = 0) -> Iterator[str]:
    first, further = " " * indent, " " * (indent + 2)
    for text in texts:
        yield from terminal.wrap(text, WIDTH, first, further)


def as_json(assessment: Assessment, *, explain: bool) -> str:
    """Return the assessment as JSON; `rung new --from-assessment` and `--answers` read it."""
    return json.dumps(to_builtins(_data(assessment)), indent=2, ensure_ascii=False) + "\n"


def _data(assessment: Assessment) -> dict[str, Any]:
    strategy, roadmap, scan = assessment.strategy, assessment.roadmap, assessment.scan
    questions, game = assessment.weights.questions, strategy.game
    choice = vars(assessment.choice)
    return {
        "answers": {
            name: names if questions[name].several else names[0]
            for name, names in assessment.answers.items()
            if name not in assessment.measured
        },
        "assumed": assessment.assumed,
        METRIC: assessment.impact_metric,
        "choice": {name: value for name, value in choice.items() if value is not None},
        "scan": {"level": scan.level, "coverage": scan.coverage} if scan else None,
        "project": assessment.project,
        "duties": [
            {**to_builtins(duty), "classified": duty.classified(assessment.answers)}
            for duty in assessment.weights.duties_for(assessment.answers)
        ],
        "law_covered": assessment.weights.covers,
        "infrastructure": phrases.infrastructure(assessment),
        "game": {
            "name": game.name,
            "played": game.played,
            "because": game.because,
            "total": game.score.total,
            "terms": game.score.terms,
        },
        "contradictions": assessment.contradictions,
        "adoption": strategy.adoption,
        "start": strategy.start,
        "target": strategy.target,
        "north_star": strategy.north,
        "steps": [_step_data(step) for step in roadmap.steps],
        "commands": [
            {"run": command, "brings": brings} for command, brings in phrases.commands(assessment)
        ],
        "beside": roadmap.keystones,
        "not_yet": roadmap.not_yet,
        "left": [_block_data(block) for block in strategy.left],
        "source": assessment.weights.source,
        "warning": assessment.weights.warning,
    }


def _block_data(block: Block) -> dict[str, Any]:
    return {
        "block": block.name,
        "priority": block.priority,
        "worth": block.worth,
        "gap": block.gap,
        "gap_because": block.gap_because,
        "because": block.because,
        "after": [{"needs": rule.needs, "because": rule.because} for rule in block.after],
    }


def _step_data(step: Step) -> dict[str, Any]:
    return {
        "step": step.name,
        "quarter": step.quarter,
        "owner": step.owner,
        "by_hand_days": step.days,
        "with_rung": phrases.with_rung(step),
        "unlocks": step.unlocks,
        "because": step.because,
        "tasks": step.tasks,
        "priority": _block_data(step.block) if step.block else None,
        "capabilities": [_item_data(item) for item in step.items],
        "later": [_item_data(item) for item in step.later],
    }


def _item_data(item: Item) -> dict[str, Any]:
    return {
        "id": item.capability.id,
        "rung": item.rung,
        "state": item.state,
        "why": item.capability.why,
        "fix": item.capability.fix,
        "by_hand": item.capability.effort,
        "with_rung": item.with_rung,
        "source": item.capability.source,
        "because": item.because,
    }


def markdown(assessment: Assessment, *, explain: bool) -> str:
    """Return the assessment as a page of Markdown, for a project's docs or a pull request."""
    return _page("assess/page.md.jinja", assessment, row=_row, bullets=_bullets)


def html(assessment: Assessment, *, explain: bool) -> str:
    """Return the assessment as a page that loads nothing and prints on two sheets."""
    return _page("assess/page.html.jinja", assessment)


def _page(template: str, assessment: Assessment, **functions: Callable[..., str]) -> str:
    from rung.system import html  # Jinja is loaded for a page alone

    return html.render(template, assessment=assessment, phrases=phrases, **functions)


def _row(*cells: str | int) -> str:
    return f"| {' | '.join(str(cell).replace('|', '&#124;') for cell in cells)} |"


def _bullets(entries: Iterable[str]) -> str:
    return "\n".join(f"- {entry}" for entry in entries)
