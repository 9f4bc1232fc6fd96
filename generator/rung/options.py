"""Options that several verbs share, and paths as users type them."""

from pathlib import Path
from typing import Annotated

import typer

from rung.errors import RungError

ProjectPath = Annotated[
    Path, typer.Argument(metavar="PATH", parser=Path, show_default=False, help="The project.")
]
To = Annotated[int | None, typer.Option(metavar="N", help="The rung to climb to (the next one).")]
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
LeaveGovernance = Annotated[
    bool,
    typer.Option(
        "--leave-governance", help="Let the project become velocity's, which approves of nothing."
    ),
]
Game = Annotated[str | None, typer.Option(metavar="GAME", help="governance or velocity.")]

BELOW = 1  # exit code of check and fleet: a repository is below the required rung


def refuse_unknown_game(game: str | None) -> None:
    """Raise a RungError for a name that is none of the games."""
    from rung.levels.ladder import GAMES

    if game is not None and game not in GAMES[1:]:
        raise RungError(f"There is no game `{game}`. Give {' or '.join(GAMES[1:])}.")


def expanded(path: Path) -> Path:
    """Return a path with `~` and `~user` expanded.

    Raises:
        RungError: There is no such user.
    """
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise RungError(
            f"{path} cannot be found: there is no user `{path.parts[0][1:]}`.\n"
            "Write the path out, or put `./` before it."
        ) from error


def typed(path: Path) -> str:
    """Return a path in a form that no command mistakes for an option."""
    return f"./{path}" if str(path).startswith("-") else str(path)
