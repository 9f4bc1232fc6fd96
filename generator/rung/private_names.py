"""The private names of others that Rung uses, all of them: they can go with any new version.

Copier has no public way to render with less work, and Python none to read a regular expression as a
tree.
"""

import re
import sys
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


def regex_parser() -> Any:
    """Return the module that parses regular expressions.

    Raises:
        RungError: This Python has none.
    """
    parser = getattr(re, "_parser", None)
    if parser is None:
        raise RungError(
            f"Python {sys.version_info.major}.{sys.version_info.minor} has no `re._parser`, which "
            "`rung check` needs.\nRun Rung with Python 3.11, 3.12 or 3.13."
        )
    return parser
