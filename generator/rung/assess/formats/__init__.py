"""The forms that an assessment is printed in; each is a module with a function `render`."""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rung.assess.assessment import Assessment

FORMATS: Mapping[str, str] = {
    "text": "text",
    "json": "data",
    "markdown": "markdown",
    "html": "html",
}


def render(form: str, made: "Assessment", *, explain: bool = True) -> str:
    """Return the assessment in one of the FORMATS.

    Args:
        form: A name of FORMATS.
        made: The assessment.
        explain: Whether text has the reasons, too; the other forms always have them.
    """
    # Imported here so that `rung --help` need not read them.
    text: str = import_module(f"{__name__}.{FORMATS[form]}").render(made, explain=explain)
    return text
