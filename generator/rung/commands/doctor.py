"""The verb `rung doctor`."""

from pathlib import Path
from typing import Annotated

import typer

from rung.commands.options import Answers, Place


def doctor(
    path: Place = Path(),
    to: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, max=4, help="The rung to look for (the project's)."),
    ] = None,
    pairs: Answers = None,
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help="text or json.")] = "text",
) -> int:
    """Say what this machine lacks of what a project needs, and how to get it."""
    from rung.doctor import doctor

    return doctor.doctor(path, to, pairs or [], form)
