"""An assessment for a terminal: ten lines to present, and on request the reasons."""

import textwrap
from collections.abc import Iterator

from rung.assess.assessment import Assessment
from rung.assess.formats import messages
from rung.assess.steps import BEFORE_USE, Step

WIDTH = 96
SHORT = {"Target for 12 months": "Target"}


def render(assessment: Assessment, *, explain: bool) -> str:
    """Return the assessment as text; only commands may be longer than WIDTH."""
    return "\n".join([*_summary(assessment), *(_details(assessment) if explain else ())]) + "\n"


def _summary(assessment: Assessment) -> Iterator[str]:
    game, steps = assessment.strategy.game, assessment.roadmap.steps
    yield f"Game       {game.name}: {messages.GAMES[game.name]}"
    for name, rung, promise in messages.rungs(assessment):
        yield f"{SHORT.get(name, name):<10} {messages.title(assessment, rung.level)[5:]}: {promise}"
    for number, step in enumerate(steps[: messages.FIRST], start=1):
        head, unlocks = messages.promised(number, step)
        yield head
        yield from _fold(unlocks, 2)
    yield ""
    for step in (each for each in steps if each.name == BEFORE_USE):
        owed = ", ".join(item.capability.id for item in step.items)
        yield from _fold(f"Owed before use: {owed}; {'; '.join(messages.reasons(step))}.")
    if steps[messages.FIRST :]:
        rest = ", ".join(
            f"{messages.step_title(each)} (Q{each.quarter})" for each in steps[messages.FIRST :]
        )
        yield from _fold(f"Then: {rest}")
    for reason in assessment.contradictions:
        yield from _fold(f"Does not go together: {reason}.")
    if assessment.assumed:
        yield from _fold(f"Assumed, as not answered: {', '.join(assessment.assumed)}.")
    yield "To walk it:"
    for command, brings in messages.commands(assessment):
        yield f"  {command}"
        yield from _fold(f"# {brings}", 6)
    yield from _fold(assessment.weights.warning)


def _details(assessment: Assessment) -> Iterator[str]:
    strategy = assessment.strategy
    yield f"\nGame: {strategy.game.name}"
    yield from _fold(f"because {strategy.game.because}", 2)
    yield from (
        line for term in strategy.game.score.terms for line in _fold(messages.term(term), 4)
    )
    yield f"Pace of adoption: {strategy.adoption.total:.2f} of 1"
    yield from (line for term in strategy.adoption.terms for line in _fold(messages.term(term), 4))
    for name, rung, _ in messages.rungs(assessment):
        yield f"{name}: {messages.title(assessment, rung.level)}"
        yield from (line for reason in rung.because for line in _fold(reason, 4))
    for number, each in enumerate(assessment.roadmap.steps, start=1):
        yield from _step(number, each)
    if assessment.roadmap.beside:
        yield "\nTo reach the target anyway"
        yield from (
            line for each in assessment.roadmap.beside for line in _fold(messages.beside(each), 2)
        )
    yield "\nNot yet"
    for entry in assessment.roadmap.not_yet:
        yield from _fold(f"{entry.what}: {entry.because}", 2)
    yield "\nAnswers"
    for ask, answer, because in messages.answered(assessment):
        yield from _fold(f"{ask} {answer}{f' ({because})' if because else ''}", 2)
    yield ""
    yield from _fold(messages.EFFORT)


def _step(number: int, step: Step) -> Iterator[str]:
    yield f"\n{number} {messages.step_title(step)}"
    if step.block:
        yield f"  priority {messages.priority(step.block)}"
        for counted in step.block.worth.terms:
            yield from _fold(messages.term(counted), 4)
    for reason in (*messages.reasons(step), *step.tasks):
        yield from _fold(reason, 4)
    for item in step.items:
        yield from _fold(f"- {item.capability.id} (rung {item.rung}, {item.state})", 2)
        yield from _fold(f"{item.capability.why} Because {'; '.join(item.because)}.", 4)
        if item in step.to_do:
            yield from _fold(f"To do: {item.capability.fix}", 4)
            yield from _fold(f"By hand {item.capability.effort}; with Rung: {item.with_rung}.", 4)
            yield from _fold(f"Source: {item.capability.source}", 4)
    if step.later:
        yield from _fold(f"later, with its rung: {messages.later(step)}", 2)


def _fold(text: str, indent: int = 0) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 2),
        break_on_hyphens=False,
    )
