"""The verb `rung assess`."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from rung import options, output_formats
from rung.errors import RungError

Answer = str | None


def _question(help_: str) -> Any:
    return typer.Option(metavar="ANSWER", help=f"{help_}.")


def assess(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", parser=Path, help="A YAML or JSON file of answers."),
    ] = None,
    answers: Annotated[
        Path | None, typer.Option(metavar="FILE", parser=Path, help="The same as FILE.")
    ] = None,
    domain: Annotated[Answer, _question("What the model is for; several with commas")] = None,
    harm: Annotated[Answer, _question("The worst a wrong prediction can do")] = None,
    timing: Annotated[Answer, _question("When a prediction is needed")] = None,
    models: Annotated[Answer, _question("How many models, a year from now")] = None,
    risk: Annotated[Answer, _question("What happens when a release does harm")] = None,
    pace: Annotated[Answer, _question("How soon the model must follow a change")] = None,
    decisions: Annotated[Answer, _question("Who decides on a release")] = None,
    collaboration: Annotated[Answer, _question("How people work together")] = None,
    data: Annotated[Answer, _question("Where the data comes from")] = None,
    experiments: Annotated[Answer, _question("How models are compared")] = None,
    delivery: Annotated[Answer, _question("What happens to code after a push")] = None,
    compute: Annotated[Answer, _question("What training and serving run on")] = None,
    customers: Annotated[
        Answer, _question("Who works with the result; several with commas")
    ] = None,
    business: Annotated[Answer, _question("How the business takes part")] = None,
    experience: Annotated[Answer, _question("What the team has run in production")] = None,
    size: Annotated[Answer, _question("How many people work on it")] = None,
    impact_metric: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="The number of the business that the model is to move."),
    ] = None,
    defaults: Annotated[
        bool, typer.Option("--defaults", help="Ask nothing; assume what is missing, and say so.")
    ] = False,
    scan: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", parser=Path, help="Measure this repository; technology is not asked."
        ),
    ] = None,
    capabilities: options.Capabilities = None,
    game: Annotated[
        str | None,
        typer.Option(
            "--use-case",
            metavar="USE_CASE",
            help="Overrule the use case: velocity or governance.",
            autocompletion=options.one_of(lambda: ("velocity", "governance")),
        ),
    ] = None,
    start: Annotated[int | None, typer.Option(metavar="N", help="Overrule the start.")] = None,
    target: Annotated[int | None, typer.Option(metavar="N", help="Overrule the target.")] = None,
    form: Annotated[str, options.form("assess")] = "text",
    explain: Annotated[
        bool, typer.Option("--explain", help="Print every reason, term by term, and each fix.")
    ] = False,
    questions: Annotated[
        bool, typer.Option("--questions", help="Print a file of answers to fill in.")
    ] = False,
    write: Annotated[
        Path | None,
        typer.Option(metavar="PATH", parser=Path, help="Put docs/strategy.md into this project."),
    ] = None,
) -> int:
    """Find where to start, by sixteen questions.

    The answer is a use case, a start, a target and the next steps.

    Each question is an option, too: answer with a number, 0 to 3, or with a name from
    docs/assess.md.
    """
    from rung.assess import answers as responses
    from rung.assess import assessment, page
    from rung.assess.weights import load
    from rung.levels import ladder, template
    from rung.system.printable import printable

    if file and answers:
        raise RungError("Name one file of answers, alone or after `--answers`.")
    render = output_formats.writer("assess", form)
    folder = template.folder() / "levels"
    weights = load(folder)
    if questions:
        print(responses.form(weights), end="")
        return 0
    options = {name: context.params[name] for name in weights.questions}  # of the same names
    choice = responses.decide({"game": game, "start": start, "target": target})
    skipped = assessment.measurable(weights) if scan else ()
    ask = [] if defaults else [name for name in weights.questions if name not in skipped]
    gathered = responses.gather(
        file or answers, options, choice, weights, ask=ask, impact_metric=impact_metric
    )
    measure = partial(assessment.measure, scan, capabilities=capabilities) if scan else None
    result = assessment.assess(gathered, weights, ladder.load(folder), measure)
    for note in result.scan.notes if result.scan else ():
        print(printable(note), file=sys.stderr)
    print(render(result, explain=explain), end="")
    if write is not None:
        markdown = output_formats.writer("assess", "markdown")
        print(f"Wrote {page.write(write, markdown(result, explain=True))}.", file=sys.stderr)
    return 0
