"""The command `rung fleet show`, which reviews many repositories and prints one table."""

from pathlib import Path
from typing import Annotated

import typer

from rung import options, output_formats
from rung.options import BELOW, Capabilities, Fleet, Game, refuse_unknown_game


def show(
    where: Fleet,
    game: Game = None,
    form: Annotated[str, options.form("fleet")] = "text",
    behind: Annotated[
        str | None,
        typer.Option(metavar="REF", help="Show how far templates are behind this version."),
    ] = None,
    capabilities: Capabilities = None,
    min_level: Annotated[
        int, typer.Option(metavar="N", min=0, max=4, help="Exit with 1 if any is below this.")
    ] = 0,
    seconds: Annotated[
        float, typer.Option(metavar="S", min=0.1, help="Processor time for each, at most.")
    ] = 4.5,
    jobs: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=256, help="How many are read at once.")
    ] = None,
) -> int:
    """Show the rung of many repositories. Runs nothing of them.

    `show` may be left out. `rung fleet update` and `rung fleet climb` open pull requests.
    """
    from rung.check.fleet import clones, repositories, reviews
    from rung.check.review.policy import load_house
    from rung.levels import ladder, template
    from rung.system import terminal
    from rung.system.printable import printable

    refuse_unknown_game(game)
    write = output_formats.writer("fleet", form)
    if capabilities is not None:  # a mistake in it is an error once, not of every repository
        load_house(ladder.load(template.folder() / "levels"), capabilities)
    fleet = repositories.fleet(where)
    rows = reviews.review_all(fleet, game, seconds, jobs, behind, capabilities)
    first = clones.shown(where[0]) if clones.is_url(where[0]) else Path(where[0]).resolve().name
    terminal.show(write(rows, printable(first)), form, end="")
    # A repository that could not be read counts as below: its rung is unknown.
    is_below = min_level and not all(row.holds(min_level) for row in rows)
    return BELOW if is_below else 0
