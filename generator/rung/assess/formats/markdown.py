"""An assessment as Markdown, for a project's docs or a pull request."""

from collections.abc import Iterator, Sequence

from rung.assess.assessment import Assessment
from rung.assess.formats import messages
from rung.assess.steps import Step


def render(assessment: Assessment, *, explain: bool) -> str:
    """Return the assessment as a page of Markdown."""
    return "\n".join(_lines(assessment)) + "\n"


def _lines(assessment: Assessment) -> Iterator[str]:
    strategy, game = assessment.strategy, assessment.strategy.game
    yield from ("# MLOps strategy", "")
    answers = [
        (name, f"**{messages.title(assessment, rung.level)}**: {promise}", "; ".join(rung.because))
        for name, rung, promise in messages.rungs(assessment)
    ]
    played = f"**{game.name}**: {messages.GAMES[game.name]}"
    yield from _table(("For you", "Answer", "Because"), [("Game", played, game.because), *answers])
    yield from ("", "## Steps", "")
    yield from _table(messages.STEP_COLUMNS, messages.step_rows(assessment))
    yield from ("", messages.EFFORT, "", f"> {assessment.weights.warning}")
    if assessment.contradictions:
        yield from ("", "These answers do not go together:", "")
        yield from (f"- {reason}" for reason in assessment.contradictions)
    yield from ("", "```sh")
    for command, brings in messages.commands(assessment):
        yield from (f"# {brings}", command)
    yield from ("```", "", "How far this is the governance game:", "")
    yield from (f"- {messages.term(term)}" for term in game.score.terms)
    yield from ("", f"The pace of adoption, {strategy.adoption.total:.2f} of 1:", "")
    yield from (f"- {messages.term(term)}" for term in strategy.adoption.terms)
    for number, each in enumerate(assessment.roadmap.steps, start=1):
        yield from _step(number, each)
    if assessment.roadmap.beside:
        yield from ("", "## To reach the target anyway", "")
        yield from (f"- {messages.beside(each)}" for each in assessment.roadmap.beside)
    yield from ("", "## Not yet", "")
    yield from (f"- **{entry.what}**: {entry.because}" for entry in assessment.roadmap.not_yet)
    yield from ("", "## The answers", "")
    yield from _table(("Question", "Answer", "Note"), messages.answered(assessment))
    yield from ("", assessment.weights.source)


def _step(number: int, step: Step) -> Iterator[str]:
    yield from ("", f"## {number}. {messages.step_title(step)}", "")
    if step.block:
        yield from (f"Priority {messages.priority(step.block)}.", "")
        yield from (f"- {messages.term(term)}" for term in step.block.worth.terms)
    yield from (f"- {reason}" for reason in (*messages.reasons(step), *step.tasks))
    if step.items:
        yield ""
        yield from _table(
            ("Capability", "Rung", "State", "Why", "To do", "By hand", "With Rung", "Source"),
            [
                (
                    f"`{item.capability.id}`",
                    str(item.rung),
                    item.state,
                    f"{item.capability.why} Because {'; '.join(item.because)}.",
                    item.capability.fix,
                    item.capability.effort,
                    item.with_rung,
                    item.capability.source,
                )
                for item in step.items
            ],
        )
    if step.later:
        yield from ("", f"Later, with its rung: {messages.later(step)}.")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for cells in (head, ["-"] * len(head), *rows):
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"
