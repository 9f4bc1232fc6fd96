"""An assessment as Markdown, for a project's docs or a pull request."""

from collections.abc import Iterator, Sequence

from rung.assess.assessment import Assessment
from rung.assess.formats import words
from rung.assess.roadmap import Stage


def as_markdown(made: Assessment) -> str:
    """Return the assessment as a page of Markdown."""
    return "\n".join(_lines(made)) + "\n"


def _lines(made: Assessment) -> Iterator[str]:
    strategy = made.strategy
    yield "# MLOps strategy"
    yield ""
    yield from _table(
        ("For you", "Answer", "Because"),
        [
            (
                "Game",
                f"**{strategy.game.name}**: {words.GAMES[strategy.game.name]}",
                strategy.game.because,
            ),
            *(
                (
                    name,
                    f"**{words.title(made, rung.level)}**: {promise}",
                    "; ".join(rung.because),
                )
                for name, rung, promise in words.rungs(made)
            ),
        ],
    )
    yield ""
    yield f"> {made.weights.warning}"
    yield from ("", "How far this is the governance game:", "")
    yield from (f"- {words.term(term)}" for term in strategy.game.score.terms)
    yield from ("", f"The pace of adoption, {strategy.pace.total:.2f} of 1:", "")
    yield from (f"- {words.term(term)}" for term in strategy.pace.terms)
    yield from ("", "## Order of work")
    for place, stage in enumerate(made.roadmap.stages, start=1):
        yield from _stage(made, place, stage)
    if not made.roadmap.stages:
        yield from ("", "Nothing: no block reaches the bound.")
    if made.roadmap.beside:
        yield from ("", "## To stand on the target all the same", "")
        yield from (f"- {words.beside(found)}" for found in made.roadmap.beside)
    yield from ("", "## Not yet", "")
    yield from (f"- **{entry.what}**: {entry.because}" for entry in made.roadmap.not_yet)
    yield from ("", "## The answers", "")
    yield from _table(("Question", "Answer", "Note"), words.answered(made))
    yield from ("", made.weights.source)


def _stage(made: Assessment, place: int, stage: Stage) -> Iterator[str]:
    yield from ("", f"### {place}. {stage.block.name.capitalize()}", "")
    yield f"Priority {words.priority(stage.block)}."
    yield ""
    yield from (f"- {words.term(term)}" for term in stage.block.worth.terms)
    yield f"- gap {stage.block.gap:.2f}: {stage.block.gap_because}"
    yield from (f"- {reason}" for reason in words.after(stage.block))
    yield ""
    if stage.items:
        yield from _table(
            ("Capability", "Rung", "State", "Why", "Because"),
            [
                (
                    f"`{item.capability.id}`",
                    str(item.rung),
                    item.state,
                    item.capability.why,
                    "; ".join(item.because),
                )
                for item in stage.items
            ],
        )
    else:
        yield words.nothing(made, stage)
    if stage.later:
        later = ", ".join(f"`{item.capability.id}` ({item.rung})" for item in stage.later)
        yield from ("", f"Later, with its rung: {later}.")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for cells in (head, ["-"] * len(head), *rows):
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"
