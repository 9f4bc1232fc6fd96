"""Phrases that all formats of an assessment share."""

import shlex
from itertools import pairwise

from rung.assess.answers import METRIC
from rung.assess.assessment import Assessment
from rung.assess.roadmap import ALIGNMENT, BEFORE_USE, DAYS, TO_BUILD, Keystone, Step
from rung.assess.strategy import FOUNDATION, Block, Rung, WeightedTerm

GAMES = {
    "velocity": "learn fast, release often, undo in seconds",
    "governance": "explained and approved first",
    "hybrid": "fast where a mistake is cheap, approved where it is not",
}
FORMS = "rung new forms --use-case governance --level 3 --defaults --no-git"
TITLES = {"before use": "Before this is used", "stay": "Stay on this rung"}
EFFORT = (
    "By hand, efforts are estimates for somebody who knows the tools, and count what comes with the "
    "start of a project of Rung. A quarter takes 65 days of work, or a fourth of the whole where one "
    "person's year is too short for it."
)
STEP_COLUMNS = ("Step", "Until", "Owner", "By hand", "With Rung", "Unlocks")


def rungs(assessment: Assessment) -> tuple[tuple[str, Rung, str], ...]:
    """Return start, target and north star, each with its rung and the rung's promise."""
    strategy = assessment.strategy
    named = (
        ("Start", strategy.start),
        ("Target for 12 months", strategy.target),
        ("North star", strategy.north),
    )
    return tuple((name, rung, assessment.levels[rung.level].promise) for name, rung in named)


def title(assessment: Assessment, level: int) -> str:
    """Return a rung's number and title."""
    return f"rung {level} {assessment.levels[level].title}"


def game(assessment: Assessment) -> str:
    """Return the game, what it is, and the answers that decide it."""
    game, questions = assessment.strategy.game, assessment.weights.questions
    domain, harm = questions["domain"], questions["harm"]
    named = sorted(assessment.answers["domain"], key=lambda name: -domain.share([name]))
    chosen = assessment.choice.game == game.name
    # What counts, where the answer contradicts the domain.
    counted = next(term.answer for term in game.score.terms if term.what == harm.short)
    reason = "you chose it" if chosen else f"{named[0]}, {counted}"
    return f"{game.name}: {GAMES[game.name]} ({reason})"


def success(assessment: Assessment) -> str:
    """Return the number of the business that the model is to move."""
    return (
        assessment.impact_metric or "not named yet: agree on the number that the model is to move"
    )


def clause(rung: Rung) -> str:
    """Return the reason that decided a rung, as one clause."""
    return rung.because[-1].removeprefix("+1: ")


def why(step: Step) -> str:
    """Return why a step is done, as one clause: the term that weighs most, or its own reason."""
    if step.name == BEFORE_USE:
        count = len(step.because)
        return "a duty, named below" if count == 1 else f"{count} duties, named below"
    if step.block is None:
        return step.because[0]
    most = max(step.block.worth.terms, key=lambda term: term.points)
    return f"because of {named(most)}" if most.answer else f"because {most.what}"


def ties(assessment: Assessment) -> list[str]:
    """Return the pairs of steps that could as well be done in the other order."""
    blocks = [step.block for step in assessment.roadmap.steps if step.block]
    return [
        f"{second.name} may come before {first.name}"
        for first, second in pairwise(blocks)
        if abs(first.priority - second.priority) <= assessment.weights.tie
        and first.name not in second.needs
        and first.name != FOUNDATION
    ]


def step_title(step: Step) -> str:
    """Return the title of a step."""
    return TITLES.get(step.name, step.name.capitalize())


def step_rows(assessment: Assessment) -> list[tuple[str, ...]]:
    """Return the steps as rows of a table with STEP_COLUMNS."""
    return [
        (
            f"{number} {step_title(step)}",
            f"Q{step.quarter}",
            step.owner,
            by_hand(step.days),
            with_rung(step),
            step.unlocks,
        )
        for number, step in enumerate(assessment.roadmap.steps, start=1)
    ]


def by_hand(days: float) -> str:
    """Return a number of working days as a phrase."""
    if days < 1:
        hours = round(days * 8)
        return "an hour" if hours == 1 else f"{hours} hours"
    count, unit = (round(days), "day") if days < 10 else (round(days / 5), "week")
    return f"a {unit}" if count == 1 else f"{count} {unit}s"


def with_rung(step: Step) -> str:
    """Return what is left of a step in a project of Rung."""
    if step.name == ALIGNMENT:
        return "fill in docs/use_case.md"
    if not step.items:
        return "the same"
    climbs = [item.rung for item in step.to_do if item.brought and item.state == TO_BUILD]
    records = {path for item in step.to_do for path in item.records}
    rest = sum(
        DAYS[item.capability.effort] for item in step.to_do if not item.brought and not item.records
    )
    parts = [
        f"climb to {max(climbs)}" if climbs else "",
        f"fill in {len(records)} record{'s' if len(records) > 1 else ''}" if records else "",
        by_hand(rest) if rest else "",
    ]
    return ", ".join(filter(None, parts))


def named(term: WeightedTerm) -> str:
    """Return what a term is about, and the answer."""
    return f"{term.what}: {term.answer}" if term.answer else term.what


def term(term: WeightedTerm) -> str:
    """Return a term with its arithmetic."""
    return f"{term.weight:.2f} x {term.share:.2f} = {term.points:.2f}  {named(term)}"


def priority(block: Block) -> str:
    """Return how a block's priority comes about."""
    return (
        f"{block.priority:.2f}: worth {block.worth.total:.2f}, and {block.gap:.0%} of it is missing"
    )


def reasons(step: Step) -> list[str]:
    """Return why a step is done and why now, without the terms of its worth."""
    block = step.block
    if block is None:
        return list(step.because)
    after = [f"after {' and '.join(rule.needs)}: {rule.because}" for rule in block.after]
    return [f"{block.gap:.0%} is missing: {block.gap_because}", *after]


def later(step: Step) -> str:
    """Return which capabilities of a block can wait, each with its rung."""
    return ", ".join(f"{item.capability.id} ({item.rung})" for item in step.later)


def keystone(open_: Keystone) -> str:
    """Return which capability a rung needs although the roadmap brings none."""
    return f"rung {open_.rung} also needs {' or '.join(open_.any_of)}"


def answered(assessment: Assessment) -> list[tuple[str, str, str]]:
    """Return each question with its answer in words, and why if it was assumed."""
    rows = []
    for name, question in assessment.weights.questions.items():
        names = assessment.answers[name]
        words = "; ".join(answer.says for answer in map(question.answer, names) if answer)
        shown = ", ".join(names) if question.several else words
        note = f"assumed: {assessment.assumed[name]}" if name in assessment.assumed else ""
        if name in assessment.measured:
            shown, note = "measured in the repository", ""
        rows.append((question.ask, shown, note))
    return rows


def commands(assessment: Assessment) -> list[tuple[str, str]]:
    """Return the commands of the roadmap, each with what it adds."""
    start, target = assessment.strategy.start.level, assessment.strategy.target.level
    scan = assessment.scan
    walk = [] if scan and scan.rung else [(_begin(assessment, start), _brings(assessment, start))]
    walk += [
        (f"rung climb {'.' if scan else 'my-project'} --to {level}", _brings(assessment, level))
        for level in range(start + 1, target + 1)
    ]
    if any(i.records and not i.brought for s in assessment.roadmap.steps for i in s.to_do):
        walk.append((FORMS, "the forms of what is owed: copy them over and fill them in now"))
    return walk or [(f"rung check . --min-level {start}", "this rung is kept")]


def _begin(assessment: Assessment, start: int) -> str:
    """Return the command that makes the project, or brings the repository onto the ladder."""
    options = assessment.project
    if assessment.scan:
        return f"rung adopt . --level {start} -d use_case={options['use_case']}"
    game = f"--use-case {options['use_case']} --team-size {options['team_size']} --level {start}"
    usual = {"data": "files", "compute": "machine", "tracking": "local"}
    data = [f"-d {name}={options[name]}" for name in usual if options[name] != usual[name]]
    if METRIC in options:
        data.append(f"-d {shlex.quote(f'{METRIC}={options[METRIC]}')}")
    return " ".join(["rung new my-project", game, *data])


def _brings(assessment: Assessment, level: int) -> str:
    names = [
        step_title(step)
        for step in assessment.roadmap.steps
        if any(item.brought and item.rung == level for item in step.items)
    ]
    return f"{title(assessment, level)}{': ' if names else ''}{', '.join(names).lower()}"
