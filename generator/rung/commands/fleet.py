"""The verb `rung fleet`."""

from pathlib import Path
from typing import Annotated

import typer


def fleet(
    where: Annotated[
        Path,
        typer.Argument(metavar="DIR|FILE", parser=Path, help="Repositories, or a list of them."),
    ],
    game: Annotated[
        str | None, typer.Option(metavar="GAME", help="governance or velocity.")
    ] = None,
    form: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="text, json, csv or html.")
    ] = "text",
    min_level: Annotated[
        int, typer.Option(metavar="N", min=0, max=4, help="End with 1 where one is below this.")
    ] = 0,
    seconds: Annotated[
        float, typer.Option(metavar="S", min=0.1, help="Processor time for each, at most.")
    ] = 4.5,
    jobs: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=256, help="How many are read at once.")
    ] = None,
) -> int:
    """Say where many repositories stand, in one table. Nothing of them is run."""
    from rung.fleet import command

    return command.fleet(where, game, form, min_level=min_level, seconds=seconds, jobs=jobs)
