"""The command line: parse, call, print."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from rung.assess_command import assess

app = typer.Typer(
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help, for which nothing has to be loaded
)


def _version(wanted: bool) -> None:
    if wanted:
        from rung import template  # reading it takes a moment that no other command should pay for

        print(f"rung {template.tag()[1:]}")
        raise typer.Exit


@app.callback()
def rung(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Machine-learning repositories that can climb."""


@app.command()
def new(
    destination: Annotated[
        Path, typer.Argument(metavar="DEST", parser=Path, help="A folder that does not exist.")
    ],
    level: Annotated[str | None, typer.Option(metavar="N", help="The rung to start on.")] = None,
    use_case: Annotated[
        str | None, typer.Option(metavar="GAME", help="velocity or governance.")
    ] = None,
    team_size: Annotated[
        str | None, typer.Option(metavar="SIZE", help="one, team or teams.")
    ] = None,
    ci: Annotated[
        str | None, typer.Option(metavar="VENDOR", help="github, gitlab or azure.")
    ] = None,
    pairs: Annotated[
        list[str] | None,
        typer.Option(
            "-d", "--data", metavar="QUESTION=ANSWER", help="Answer any question; may be repeated."
        ),
    ] = None,
    answers: Annotated[
        Path | None, typer.Option(metavar="FILE", parser=Path, help="A YAML file of answers.")
    ] = None,
    from_assessment: Annotated[
        Path | None,
        typer.Option(metavar="FILE", parser=Path, help="Start from what `rung assess` advised."),
    ] = None,
    defaults: Annotated[
        bool, typer.Option("--defaults", help="Ask nothing, take the defaults.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List every file and write none.")
    ] = False,
    no_git: Annotated[
        bool, typer.Option("--no-git", help="Make no repository and no commit.")
    ] = False,
    template: Annotated[
        str | None, typer.Option(metavar="WHERE", help="Another template: a path or a URL.")
    ] = None,
    template_version: Annotated[
        str | None, typer.Option(metavar="REF", help="A tag or commit of it.")
    ] = None,
) -> int:
    """Start a project."""
    from rung import answers as given
    from rung import new, outcome, source

    chosen = source.choose(template, template_version)
    options = {"level": level, "use_case": use_case, "team_size": team_size, "ci": ci}
    said = given.gather(answers, pairs or [], options)
    if from_assessment:
        from rung.assess import advised

        said = advised(from_assessment) | said
    print(f"Template: {chosen.address} at {chosen.ref}. {chosen.note}".rstrip(), file=sys.stderr)
    if dry_run:
        born = new.preview(destination, chosen, said, defaults=defaults)
        print(*born.files, sep="\n")
        print(f"{len(born.files)} files; nothing was written.", file=sys.stderr)
        return 0
    born = new.new(destination, chosen, said, defaults=defaults, with_git=False if no_git else None)
    print(outcome.born(born, wants_git=not no_git))
    return 0


@app.command()
def climb(
    to: Annotated[int, typer.Option(metavar="N", help="The rung to stand on.")],
    path: Annotated[
        Path, typer.Argument(metavar="PATH", parser=Path, show_default=False, help="The project.")
    ] = Path(),
    template: Annotated[
        str | None, typer.Option(metavar="WHERE", help="Trust this template, too.")
    ] = None,
) -> int:
    """Take a project to another rung."""
    from rung import outcome
    from rung.climb import climb

    climbed = climb(path, to, template)
    print(outcome.climbed(climbed))
    if climbed.conflicts:
        print(outcome.conflicts(climbed), file=sys.stderr)
        return 1
    return 0


@app.command()
def levels(
    markdown: Annotated[
        bool, typer.Option("--markdown", help="As the page docs/levels.md.")
    ] = False,
) -> int:
    """Show the ladder."""
    from rung import ladder, levels, template

    rungs = levels.load(template.folder() / "levels")
    print(ladder.markdown(rungs) if markdown else ladder.text(rungs), end="")
    return 0


@app.command()
def check(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", parser=Path, show_default=False, help="A repository.")
    ] = Path(),
    game: Annotated[
        str | None, typer.Option(metavar="GAME", help="governance or velocity.")
    ] = None,
    form: Annotated[
        str,
        typer.Option(
            "--format", metavar="FORMAT", help="text, json, markdown, sarif, html or badge."
        ),
    ] = "text",
    min_level: Annotated[
        int, typer.Option(metavar="N", min=0, max=4, help="End with 1 below this rung.")
    ] = 0,
    explain: Annotated[
        str | None, typer.Option(metavar="CAPABILITY", help="What is looked for, and was found.")
    ] = None,
    base: Annotated[
        str | None, typer.Option(metavar="REV", help="Show the change against this commit.")
    ] = None,
    seconds: Annotated[
        float, typer.Option(metavar="S", min=0.1, help="Processor time, at most.")
    ] = 4.5,
) -> int:
    """Say where a repository stands, by evidence. Nothing of it is run."""
    from rung import check

    return check.check(
        path, game, form, min_level=min_level, explain=explain, base=base, seconds=seconds
    )


@app.command()
def demo(
    keep: Annotated[
        Path | None,
        typer.Option(metavar="DIR", parser=Path, help="Where to make it (./rung-demo)."),
    ] = None,
    upto: Annotated[int, typer.Option(metavar="N", help="The last rung.")] = 2,
) -> int:
    """Make a project and climb rungs 0, 1 and 2 with it."""
    from rung import demo

    return demo.demo(keep, upto)


app.command()(assess)
