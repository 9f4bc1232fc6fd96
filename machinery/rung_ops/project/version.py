"""Whether the installed machinery is the one that the project's files are written for."""

from rung_ops import __version__
from rung_ops.errors import NoProjectError
from rung_ops.project import current
from rung_ops.project.paths import settings


def series(version: str) -> str:
    """Return the part of a version that changes with incompatible changes: `0.2` of 0.2.1, `1` of 1.4."""
    first, second, *_ = [*version.split("."), "0"]
    return f"0.{second}" if first == "0" else first


def refuse_other_version() -> None:
    """Stop where vendor/, or an ejected library, has another series than the project's files expect.

    Raises:
        NoProjectError: with one sentence for the person who typed the verb.
    """
    expected = settings().get("machinery")
    if expected is not None and series(str(expected)) != series(__version__):
        if (current().repository / "machinery/rung_ops").is_dir():
            raise NoProjectError(
                f"This project's files expect rung-ops {expected}, but machinery/ holds {__version__}: "
                "merge the newer source with `rung update`, or restore machinery/ and pyproject.toml "
                "from one commit."
            )
        raise NoProjectError(
            f"This project's files expect rung-ops {expected}, but {__version__} is installed: run "
            "`uv sync`, or bring vendor/ and files to one version with `rung update`."
        )
