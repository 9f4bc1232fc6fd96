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


Place = Annotated[
    Path, typer.Argument(metavar="PATH", parser=Path, show_default=False, help="The project.")
]
To = Annotated[int | None, typer.Option(metavar="N", help="The rung to stand on (the next one).")]
Answers = Annotated[
    list[str] | None,
    typer.Option(
        "-d", "--data", metavar="QUESTION=ANSWER", help="Change an answer; may be repeated."
    ),
]
Trusted = Annotated[
    str | None, typer.Option("--template", metavar="WHERE", help="Trust this template, too.")
]
Version = Annotated[
    str | None, typer.Option("--template-version", metavar="REF", help="A tag or commit of it.")
]
Branch = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Put it on a new branch; conflicts stand between markers."),
]
NoVerify = Annotated[bool, typer.Option("--no-verify", help="Leave out the project's own checks.")]


@app.command()
def plan(
    path: Place = Path(),
    to: To = None,
    pairs: Answers = None,
    template_version: Version = None,
    template: Trusted = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for machines.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="As a patch.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", parser=Path, help="Keep it for `rung climb FILE`."),
    ] = None,
) -> int:
    """Show what a climb would do, and touch nothing."""
    from rung.climbing import command

    wish = command.wish(path, to, pairs or [], template_version)
    return command.plan(path, wish, template, as_json=as_json, diff=diff, out=out)


@app.command()
def climb(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="[PATH|FILE]", parser=Path, show_default=False, help="The project, or a plan."
        ),
    ] = Path(),
    to: To = None,
    pairs: Answers = None,
    template_version: Version = None,
    template: Trusted = None,
    branch: Branch = None,
    no_verify: NoVerify = False,
) -> int:
    """Take a project to another rung, up or down, or to other answers."""
    from rung.climbing import command

    if path.is_file():
        return command.climb_as_planned(
            path, [to, pairs, template_version, template], branch=branch, verify=not no_verify
        )
    wish = command.wish(path, to, pairs or [], template_version)
    return command.climb(path, wish, template, branch=branch, verify=not no_verify)


@app.command()
def update(
    path: Place = Path(),
    template_version: Version = None,
    template: Trusted = None,
    branch: Branch = None,
    no_verify: NoVerify = False,
) -> int:
    """Bring Rung's files to a newer version of the template."""
    from rung.climbing import command

    return command.update(path, template_version, template, branch=branch, verify=not no_verify)


@app.command()
def adopt(
    path: Place = Path(),
    level: Annotated[
        str | None, typer.Option(metavar="N", help="The rung to start on (0).")
    ] = None,
    pairs: Answers = None,
    merge: Annotated[
        bool,
        typer.Option("--merge", help="Add missing entries to your pyproject.toml and .gitignore."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan and write nothing.")
    ] = False,
    template_version: Version = None,
    template: Annotated[
        str | None, typer.Option(metavar="WHERE", help="Another template: a path or a URL.")
    ] = None,
) -> int:
    """Bring an existing repository onto the ladder; nothing of it is overwritten."""
    from rung import adopt, adopted, complete, source
    from rung import answers as given
    from rung.climbing import recover, words
    from rung.staging import stopped_like_ctrl_c

    if interrupted := recover.before_anything(path):
        print(words.recovered(interrupted), file=sys.stderr)
    if merge and not (level or pairs or template_version) and complete.is_adopted(path):
        with stopped_like_ctrl_c():
            found = complete.complete(path, template, dry_run=dry_run)
        print(adopted.completion(path, found, dry_run=dry_run))
        return 0
    chosen = source.choose(template, template_version)
    said = given.gather(None, pairs or [], {"level": level})
    print(f"Template: {chosen.address} at {chosen.ref}. {chosen.note}".rstrip(), file=sys.stderr)
    with stopped_like_ctrl_c():
        made = adopt.adopt(path, chosen, said, merge=merge, dry_run=dry_run)
    print(adopted.text(made))
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
    upto: Annotated[int, typer.Option(metavar="N", help="The last rung.")] = 4,
) -> int:
    """Make a project and climb rungs 0, 1 and 2 with it."""
    from rung import demo

    return demo.demo(keep, upto)


app.command()(assess)
