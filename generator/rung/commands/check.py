"""The verb `rung check`."""

from pathlib import Path
from typing import Annotated

import typer


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
    prove: Annotated[
        bool, typer.Option("--prove", help="Run its own checks, in a copy, to prove findings.")
    ] = False,
    prove_seconds: Annotated[
        float, typer.Option(metavar="S", min=0.1, help="Time for each such run, at most.")
    ] = 900,
) -> int:
    """Say where a repository stands, by evidence. Nothing of it is run without --prove."""
    from rung import check

    return check.check(
        path,
        game,
        form,
        min_level=min_level,
        explain=explain,
        base=base,
        seconds=seconds,
        prove=prove_seconds if prove else None,
    )
