"""Options that several verbs take."""

from pathlib import Path
from typing import Annotated

import typer

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
