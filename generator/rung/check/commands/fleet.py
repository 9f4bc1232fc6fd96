"""The command `rung fleet`, which reviews many repositories and prints one table."""

from pathlib import Path
from typing import Annotated

import typer

from rung import options, output_formats
from rung.options import BELOW, Game, refuse_unknown_game


def fleet(
    where: Annotated[
        Path,
        typer.Argument(metavar="DIR|FILE", parser=Path, help="Repositories, or a list of them."),
    ],
    game: Game = None,
    form: Annotated[str, options.form("fleet")] = "text",
    min_level: Annotated[
        int, typer.Option(metavar="N", min=0, max=4, help="End with 1 if one is below this.")
    ] = 0,
    seconds: Annotated[
        float, typer.Option(metavar="S", min=0.1, help="Processor time for each, at most.")
    ] = 4.5,
    jobs: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=256, help="How many are read at once.")
    ] = None,
) -> int:
    """Show where many repositories stand. Nothing of them is run."""
    from rung.check.fleet import repositories, reviews
    from rung.system import terminal
    from rung.system.printable import printable

    refuse_unknown_game(game)
    write = output_formats.writer("fleet", form)
    rows = reviews.review_all(repositories.listed(where), game, seconds, jobs)
    terminal.show(write(rows, printable(where.resolve().name)), form, end="")
    # A repository that could not be read counts as below: its rung is unknown.
    is_below = min_level and not all(row.holds(min_level) for row in rows)
    return BELOW if is_below else 0
