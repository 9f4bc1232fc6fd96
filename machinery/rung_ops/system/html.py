"""Pages of HTML from Jinja2 templates; what they are given is escaped."""

from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from rung_ops.system.printable import four_digits


def render(template: Path, **values: Any) -> str:
    """Render a template.

    Args:
        template: a file of the library.
        values: what the template uses; a name that is missing is an error. All is escaped but
            markupsafe.Markup.
    """
    return _environment(template.parent).get_template(template.name).render(**values)


@cache
def _environment(folder: Path) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, Path(__file__).parent]),  # frame.html is here
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["four_digits"] = four_digits
    return environment
