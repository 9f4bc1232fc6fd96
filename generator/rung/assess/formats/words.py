"""Words that every form of an assessment shares."""

from rung.assess.assessment import Assessment, measured
from rung.assess.roadmap import Beside, Stage
from rung.assess.shares import Counted
from rung.assess.strategy import Block, Rung

GAMES = {
    "velocity": "learn fast, release often, undo in seconds",
    "governance": "decisions are explained and approved before they count",
    "hybrid": "fast, where a mistake is cheap; explained and approved, where it is not",
}


def rungs(made: Assessment) -> tuple[tuple[str, Rung, str], ...]:
    """Return start, target and north star, each with its rung and the rung's promise."""
    strategy = made.strategy
    named = (
        ("Start", strategy.start),
        ("Target for 12 months", strategy.target),
        ("North star", strategy.north),
    )
    return tuple((name, rung, made.levels[rung.level].promise) for name, rung in named)


def title(made: Assessment, level: int) -> str:
    """Return a rung's number and title."""
    return f"rung {level} {made.levels[level].title}"


def term(counted: Counted) -> str:
    """Return a term with its arithmetic."""
    said = f": {counted.said}" if counted.said else ""
    return (
        f"{counted.weight:.2f} x {counted.share:.2f} = {counted.points:.2f}  {counted.what}{said}"
    )


def priority(block: Block) -> str:
    """Return how a block's priority comes about."""
    return f"{block.priority:.2f} = worth {block.worth.total:.2f} x gap {block.gap:.2f}"


def after(block: Block) -> list[str]:
    """Return what comes before a block and why."""
    return [f"after {' and '.join(rule.needs)}: {rule.because}" for rule in block.after]


def nothing(made: Assessment, stage: Stage) -> str:
    """Say why a stage has no capabilities up to the target."""
    if stage.later:
        return "Nothing up to the target."
    return f"The {made.strategy.game.played} game asks for no capability of this block."


def beside(found: Beside) -> str:
    """Say which capability a rung needs although the roadmap brings none."""
    return f"rung {found.rung} also needs {' or '.join(found.any_of)}"


def answered(made: Assessment) -> list[tuple[str, str, str]]:
    """Return each question with what was answered, in words, and why if it was assumed."""
    rows = []
    for name, question in made.weights.questions.items():
        found = [question.answer(each) for each in made.answers[name]]
        said = (
            ", ".join(made.answers[name])
            if question.several
            else "; ".join(answer.says for answer in found if answer)
        )
        assumed = made.assumed.get(name)
        note = f"assumed: {assumed}" if assumed else ""
        if made.scan and name in measured(made.weights):
            said, note = "measured in the repository", ""
        rows.append((question.ask, said, note))
    return rows


def next_title(made: Assessment) -> str:
    """Return what that command is for."""
    return "What was found, with file and line" if made.scan else "To start from this"


def next_step(made: Assessment) -> str:
    """Return the command that starts a project from this assessment, or shows what was found."""
    if made.scan:
        return f"rung check --game {made.strategy.game.played}"
    options = " ".join(
        f"--{name.replace('_', '-')} {value}" for name, value in made.project.items()
    )
    return f"rung new my-project {options}"
