"""The verb `rung doctor`."""

from pathlib import Path
from typing import Annotated

import typer

from rung import output_formats
from rung.options import Answers, ProjectPath


def doctor(
    path: ProjectPath = Path(),
    to: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, max=4, help="The rung to look for (the project's)."),
    ] = None,
    pairs: Answers = None,
    form: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help=output_formats.names("doctor"))
    ] = "text",
) -> int:
    """Say what this machine lacks of what a project needs, and how to get it."""
    from rung.core.needs import examine

    write = output_formats.writer("doctor", form)
    report = examine(path, to, pairs or [])
    print(write(report))
    return 1 if report.lacks else 0
