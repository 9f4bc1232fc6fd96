"""The verbs `rung plan`, `rung climb` and `rung update`."""

from pathlib import Path
from typing import Annotated

import typer

from rung.commands.options import Answers, Branch, NoVerify, Place, To, Trusted, Version


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
