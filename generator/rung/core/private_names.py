"""The private names of Copier that Rung uses, as Copier has no public way to render with less work."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from rung.errors import RungError

COPIER = ">=9.19,<10"  # before 9.19 no question can be left unasked and recorded


@dataclass(frozen=True)
class CopierNames:
    """What Rung patches of Copier; None if this version has no such name.

    Attributes:
        main: The module that asks git about each file.
        worker: The class that renders.
        template: The module that clones a template.
    """

    main: Any
    worker: Any
    template: Any


@cache
def copier() -> CopierNames:
    """Return Copier's private names.

    Raises:
        RungError: The version of Copier is one that Rung does not know.
    """
    _check_copier()
    try:
        from copier import _main, _template
    except ImportError:
        return CopierNames(None, None, None)
    return CopierNames(_main, getattr(_main, "Worker", None), _template)


def _check_copier() -> None:
    """Raise a RungError if the version of Copier is one that Rung does not know."""
    from importlib.metadata import version

    from packaging.specifiers import SpecifierSet

    installed = version("copier")
    if installed not in SpecifierSet(COPIER, prereleases=True):
        raise RungError(
            f"Copier {installed} is installed, and Rung needs Copier {COPIER}.\n"
            f"Install one of these versions beside Rung: `pip install 'copier{COPIER}'`."
        )
