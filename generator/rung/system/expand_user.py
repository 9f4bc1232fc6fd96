"""Paths as a person types them."""

from pathlib import Path

from rung.errors import RungError


def expanded(path: Path) -> Path:
    """Return a path with `~` and `~somebody` written out.

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


def no_option(path: Path) -> str:
    """Return a path in a form that no command takes for an option."""
    return f"./{path}" if str(path).startswith("-") else str(path)
