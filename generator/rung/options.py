"""Options that several verbs share, and paths as users type them."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from rung import output_formats
from rung.errors import RungError

BELOW = 1  # exit code of check and fleet: a repository is below the required rung
FORMERLY = {"game": "use-case", "rung": "level"}  # options by names that texts had for them


def current_name(name: str) -> str:
    """Return the name of an option that a user may know by another."""
    return FORMERLY.get(name, name)


def one_of(values: Callable[[], Iterable[Any]]) -> Callable[[str], list[str]]:
    """Return a function that completes one of some values in a shell."""

    def complete(incomplete: str) -> list[str]:
        return [value for value in map(str, values()) if value.startswith(incomplete)]

    return complete


def of_rungs() -> range:
    """Return the rungs."""
    from rung.levels.ladder import RUNGS

    return RUNGS


def of_vendors() -> Iterable[str]:
    """Return the names of the CI vendors."""
    from rung.levels import ladder, template

    return ladder.load_vendors(template.folder() / "levels")


def _folder(text: str) -> Path:
    """Return the path that was typed; an empty one, as of a variable that is not set, is refused."""
    if not text:
        raise typer.BadParameter("it is empty. Give a folder.")
    return Path(text)


def of_capabilities() -> list[str]:
    """Return the ids of the capabilities."""
    from rung.levels import template

    return sorted(file.stem for file in (template.folder() / "levels/capabilities").glob("*.yml"))


def form(command: str) -> Any:
    """Return the option `--format` of a command."""
    return typer.Option(
        "--format",
        metavar="FORMAT",
        help=output_formats.names(command),
        autocompletion=one_of(lambda: output_formats.FORMATS[command]),
    )


ProjectPath = Annotated[
    Path, typer.Argument(metavar="PATH", parser=Path, show_default=False, help="The project.")
]
Fleet = Annotated[
    list[str],
    typer.Argument(
        metavar="DIR|FILE|URL...", help="Repositories: folders of them, lists, or their URLs."
    ),
]
To = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="The rung to climb to (the next one).", autocompletion=one_of(of_rungs)
    ),
]
Level = Annotated[
    str | None,
    typer.Option(metavar="N", help="The rung to start on.", autocompletion=one_of(of_rungs)),
]
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
Template = Annotated[
    str | None, typer.Option(metavar="WHERE", help="Another template: a path or a URL.")
]
RowsFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", parser=Path, help="Draft from your own CSV or Parquet file."),
]
Target = Annotated[str, typer.Option(metavar="COLUMN", help="The column of that file to predict.")]
Branch = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Put it on a new branch, with conflicts between markers."),
]
NoVerify = Annotated[bool, typer.Option("--no-verify", help="Skip the project's own checks.")]
LeaveGovernance = Annotated[
    bool,
    typer.Option(
        "--leave-governance", help="Allow the change to velocity, which requires no approval."
    ),
]
Capabilities = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        parser=_folder,
        help="More capabilities, and the policy, of your organisation.",
    ),
]
Game = Annotated[
    str | None,
    typer.Option(
        "--use-case",
        metavar="USE_CASE",
        help="velocity or governance.",
        autocompletion=one_of(lambda: ("velocity", "governance")),
    ),
]


def refuse_unknown_game(game: str | None) -> None:
    """Raise a RungError for a name that is none of the use cases."""
    from rung.levels.ladder import GAMES

    if game is not None and game not in GAMES[1:]:
        raise RungError(f"There is no use case `{game}`. Give {' or '.join(GAMES[1:])}.")


def expanded(path: Path) -> Path:
    """Return a path with `~` and `~user` expanded."""
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
