"""The verb `rung new`."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rung.errors import RungError
from rung.options import Game, Level, RowsFile, Target, Template, Version, of_vendors, one_of

if TYPE_CHECKING:
    from rung.core.creation import CreatedProject

NAMELESS = """\
git does not know your name, so the first commit carries Rung's. Correct it with
  git config --global user.name "Your Name"
  git config --global user.email you@example.com
  git commit --amend --reset-author --no-edit"""


def new(
    context: typer.Context,
    destination: Annotated[
        Path, typer.Argument(metavar="DEST", parser=Path, help="A folder that does not exist.")
    ],
    level: Level = None,
    use_case: Game = None,
    team_size: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="one, team or teams.",
            autocompletion=one_of(lambda: ("one", "team", "teams")),
        ),
    ] = None,
    ci: Annotated[
        str | None,
        typer.Option(
            metavar="VENDOR", help="Whose CI runs the checks.", autocompletion=one_of(of_vendors)
        ),
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
    from_file: RowsFile = None,
    target: Target = "",
    defaults: Annotated[
        bool, typer.Option("--defaults", help="Ask nothing, take the defaults.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List every file and write none.")
    ] = False,
    no_git: Annotated[
        bool, typer.Option("--no-git", help="Make no repository and no commit.")
    ] = False,
    template: Template = None,
    template_version: Version = None,
) -> int:
    """Start a project."""
    from rung.core import creation, template_source
    from rung.core.drafting import NO_ROWS, Wanted
    from rung.levels.template_answers import gather_answers
    from rung.system import terminal

    rows = Wanted(from_file, target) if from_file else None
    if target and not rows:
        raise RungError(NO_ROWS)
    chosen = template_source.choose(template, template_version)
    options = {"level": level, "use_case": use_case, "team_size": team_size, "ci": ci}
    answered = gather_answers(answers, pairs or [], options)
    if from_assessment:
        # cli.py passes the function that reads it, as core does not import assess.
        answered = context.obj(from_assessment) | answered
    print(f"Template: {chosen.address} at {chosen.ref}. {chosen.note}".rstrip(), file=sys.stderr)
    created = creation.create(
        destination,
        chosen,
        answered,
        defaults=defaults,
        with_git=False if no_git else None,
        rows=rows,
        dry_run=dry_run,
    )
    if dry_run:
        print(*filter(None, [created.drafted]), *created.files, sep="\n")
        print(f"{len(created.files)} files; nothing was written.", file=sys.stderr)
        return 0
    if template:
        template_source.trust(chosen.address)
    terminal.show(_outcome(created, wants_git=not no_git))
    return 0


def _outcome(project: "CreatedProject", *, wants_git: bool) -> str:
    from rung.levels.ladder import BRINGS

    sample = "Its data and model are a sample to replace; the README says how."
    lines = [f"{project.folder}: rung {project.level}, {len(project.files)} files."]
    lines.insert(0 if project.drafted else 1, project.drafted or sample)
    if project.repository and not project.committed and wants_git:
        lines.append(f"It is inside the repository {project.repository}: add and commit it there.")
    if project.committed:
        lines += [
            f"The first commit contains your rows: {path}, {size:,.1f} kB. To leave them out, delete "
            f"the folder, start with `--no-git`, and add `/{path}` to .gitignore; CI and climbs then "
            "need other rows in data/sample."
            for path, size in project.kilobytes.items()
        ]
    if not project.signed:
        lines.append(NAMELESS)
    if project.asks:
        lines += [f"\n{BRINGS}:", *(f"  * {ask}" for ask in project.asks)]
    steps = [f"cd {shlex.quote(str(project.folder))}", "uv sync", "uv run poe train"]
    return "\n".join([*lines, "\nNext:", *(f"  {step}" for step in steps)])
