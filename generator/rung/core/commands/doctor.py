"""The verb `rung doctor`."""

from pathlib import Path
from typing import Annotated

import typer

from rung import options, output_formats
from rung.options import Answers, ProjectPath


def doctor(
    path: ProjectPath = Path(),
    to: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            max=4,
            help="The rung to look for (the project's).",
            autocompletion=options.one_of(options.of_rungs),
        ),
    ] = None,
    pairs: Answers = None,
    form: Annotated[str, options.form("doctor")] = "text",
) -> int:
    """Say what this machine lacks. Each with how to get it."""
    from rung.core.needs import examine
    from rung.system import terminal

    write = output_formats.writer("doctor", form)
    report = examine(path, to, pairs or [])
    terminal.show(write(report), form)
    return 1 if report.lacks else 0
