"""An assessment for a terminal."""

import textwrap
from collections.abc import Iterator

from rung.assess.assessment import Assessment
from rung.assess.formats import words
from rung.assess.roadmap import Stage

WIDTH = 92


def as_text(made: Assessment) -> str:
    """Return the assessment as text of at most 92 columns."""
    return "\n".join(_lines(made)) + "\n"


def _lines(made: Assessment) -> Iterator[str]:
    strategy = made.strategy
    yield from _fold(f"Game: {strategy.game.name}, {words.GAMES[strategy.game.name]}")
    yield from _fold(f"because {strategy.game.because}", 2)
    yield from (line for term in strategy.game.score.terms for line in _fold(words.term(term), 4))
    yield f"Pace: {strategy.pace.total:.2f} of 1"
    yield from (line for term in strategy.pace.terms for line in _fold(words.term(term), 4))
    for name, rung, promise in words.rungs(made):
        yield from _fold(f"{name}: {words.title(made, rung.level)}. {promise}")
        yield from (line for reason in rung.because for line in _fold(reason, 4))
    yield "\nOrder of work"
    if not made.roadmap.stages:
        yield "  Nothing: no block reaches the bound."
    for place, stage in enumerate(made.roadmap.stages, start=1):
        yield from _stage(made, place, stage)
    if made.roadmap.beside:
        yield "\nTo stand on the target all the same"
        yield from (line for found in made.roadmap.beside for line in _fold(words.beside(found), 2))
    yield "\nNot yet"
    for entry in made.roadmap.not_yet:
        yield from _fold(f"{entry.what}: {entry.because}", 2)
    if made.assumed:
        yield "\nAssumed"
        for ask, said, because in words.answered(made):
            if because:
                yield from _fold(f"{ask} {said} ({because})", 2)
    yield ""
    yield from _fold(made.weights.warning)
    yield f"\n{words.next_title(made)}:\n  {words.next_step(made)}"


def _stage(made: Assessment, place: int, stage: Stage) -> Iterator[str]:
    yield f"\n{place} {stage.block.name}, {words.priority(stage.block)}"
    for counted in stage.block.worth.terms:
        yield from _fold(words.term(counted), 4)
    yield from _fold(f"gap {stage.block.gap:.2f}: {stage.block.gap_because}", 4)
    for reason in words.after(stage.block):
        yield from _fold(reason, 4)
    for item in stage.items:
        yield from _fold(f"- {item.capability.id} (rung {item.rung}, {item.state})", 2)
        yield from _fold(item.capability.why, 4)
        yield from _fold(f"because {'; '.join(item.because)}", 4)
    if not stage.items:
        yield f"  {words.nothing(made, stage)}"
    if stage.later:
        later = ", ".join(f"{item.capability.id} ({item.rung})" for item in stage.later)
        yield from _fold(f"later, with its rung: {later}", 2)


def _fold(text: str, indent: int = 0) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 2),
        break_on_hyphens=False,
    )
