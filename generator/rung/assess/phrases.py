"""Phrases that all formats of an assessment share."""

import shlex
from collections.abc import Iterable
from itertools import pairwise

from rung.assess.answers import METRIC
from rung.assess.assessment import DOCUMENTS, Assessment
from rung.assess.roadmap import ALIGNMENT, BEFORE_USE, DAYS, TO_BUILD, Step
from rung.assess.strategy import FOUNDATION, Block, Rung, WeightedSum, WeightedTerm

GAMES = {
    "velocity": "learn fast, release often, undo in seconds",
    "governance": "explained and approved first",
    "hybrid": "fast where a mistake is cheap, approved where it is not",
}
EARLY = f"-d {DOCUMENTS}=now"
TITLES = {"before use": "Before this is used", "stay": "Stay on this rung"}
EFFORT = (
    "Efforts by hand are estimates for someone who knows the tools, and include what a new project of "
    "Rung begins with. A quarter is 65 working days; a plan that takes longer than a year is split into "
    "four."
)
# By question about infrastructure: what a project has without an answer, and the rung that asks first.
INFRASTRUCTURE = {"data": ("files", 0), "compute": ("machine", 1), "tracking": ("local", 2)}
STEP_COLUMNS = ("Step", "Until", "Owner", "By hand", "With Rung", "Unlocks")


def rungs(assessment: Assessment) -> tuple[tuple[str, Rung, str], ...]:
    """Return start, target and north star, each with its rung and the rung's promise."""
    strategy = assessment.strategy
    names = ("Start", "Target for 12 months", "North star")
    rungs = (strategy.start, strategy.target, strategy.north)
    promises = (assessment.levels[rung.level].promise for rung in rungs)
    return tuple(zip(names, rungs, promises, strict=True))


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
    owed = [
        i.capability.id for s in assessment.roadmap.steps if s.name == BEFORE_USE for i in s.items
    ]
    if chosen and game.played != game.name:
        duties = ", ".join(owed[:3]) + (f" and {len(owed) - 3} more" if len(owed) > 3 else "")
        reason += f"; the duties below ask for {duties}, so the project plays {game.played}"
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
    return named(max(step.block.worth.terms, key=lambda term: term.points))


def ties(assessment: Assessment) -> list[str]:
    """Return the pairs of steps that could as well be done in the other order."""
    blocks = [step.block for step in assessment.roadmap.steps if step.block]
    return [
        f"{second.name} can also come before {first.name}"
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


def terms(weighted: WeightedSum) -> list[str]:
    """Return the terms of a sum with their arithmetic."""
    return [
        f"{term.weight:.2f} x {term.share:.2f} = {term.points:.2f}  {named(term)}"
        for term in weighted.terms
    ]


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


def keystones(assessment: Assessment) -> list[str]:
    """Return which capabilities a rung needs although the roadmap brings none."""
    needed = assessment.roadmap.keystones
    return [f"rung {entry.rung} also needs {' or '.join(entry.any_of)}" for entry in needed]


def in_words(assessment: Assessment, name: str) -> str:
    """Return the answer to a question as its choice says it."""
    question, names = assessment.weights.questions[name], assessment.answers[name]
    if question.several:
        return ", ".join(names)
    return "; ".join(answer.says for answer in map(question.answer, names) if answer)


def answered(assessment: Assessment) -> list[tuple[str, str, str]]:
    """Return each question with its answer in words, and why if it was assumed."""
    rows = []
    for name, question in assessment.weights.questions.items():
        shown = in_words(assessment, name)
        note = f"assumed: {assessment.assumed[name]}" if name in assessment.assumed else ""
        if name in assessment.measured:
            shown, note = "measured in the repository", ""
        rows.append((question.ask, shown, note))
    return rows


def infrastructure(assessment: Assessment) -> list[str]:
    """Return what is said of machines."""
    weights = assessment.weights
    return [a.says for a in weights.infrastructure if weights.hold(a.where, assessment.counted)]


def commands(assessment: Assessment) -> list[tuple[str, str]]:
    """Return the commands of the roadmap, each with what it adds."""
    start, target = assessment.strategy.start.level, assessment.strategy.target.level
    scan = assessment.scan
    forms = "the required documents, to be filled in" if DOCUMENTS in assessment.project else ""
    if scan and scan.rung:
        change = EARLY if scan.governed else f"-d use_case=governance {EARLY}"
        walk = [(f"rung climb . {change}", forms)] if forms and not scan.documents else []
    else:
        brings = ", and ".join(filter(None, [_brings(assessment, start), forms]))
        walk = [(_begin(assessment, start), brings)]
    for level in range(start + 1, target + 1):
        climb = ["rung climb", "." if scan else "my-project", f"--to {level}"]
        options = _infrastructure(assessment, [level])
        walk.append((" ".join([*climb, *options]), _brings(assessment, level)))
    return walk or [(f"rung check . --min-level {start}", "this rung is kept")]


def _begin(assessment: Assessment, start: int) -> str:
    """Return the command that makes the project, or brings the repository onto the ladder."""
    options = assessment.project
    if assessment.scan:
        begin = f"rung adopt . --level {start} -d use_case={options['use_case']}"
        return f"{begin} {EARLY}" if DOCUMENTS in options else begin
    game = f"--use-case {options['use_case']} --team-size {options['team_size']} --level {start}"
    data = _infrastructure(assessment, range(start + 1))
    if METRIC in options:
        data.append(f"-d {shlex.quote(f'{METRIC}={options[METRIC]}')}")
    data += [EARLY] if DOCUMENTS in options else []
    return " ".join(["rung new my-project", game, *data])


def _infrastructure(assessment: Assessment, levels: Iterable[int]) -> list[str]:
    """Return the options of what is needed from these rungs on."""
    options = assessment.project
    return [
        f"-d {name}={options[name]}"
        for name, (usual, level) in INFRASTRUCTURE.items()
        if level in levels and options[name] != usual
    ]


def _brings(assessment: Assessment, level: int) -> str:
    names = [
        step_title(step)
        for step in assessment.roadmap.steps
        if any(item.brought and item.rung == level for item in step.items)
    ]
    return f"{title(assessment, level)}{': ' if names else ''}{', '.join(names).lower()}"
