"""Pages of HTML from Jinja2 templates of the library."""

import re
from functools import cache, partial
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from rung_ops.system.printable import counted, four_digits, in_column


def render(template: Path, **values: Any) -> str:
    """Render a template; a missing value is an error, and all but markupsafe.Markup is escaped."""
    return _environment(template.parent).get_template(template.name).render(**values)


def code(text: str) -> Markup:
    """Escape a text, and mark what stands in backquotes as code."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))


def aligned(value: float | None) -> str:
    """Write a figure as the tables of cells.html do; None as a dash."""
    cells: Any = _environment(Path(__file__).parent).get_template("cells.html").module
    return str(cells.aligned(value))


@cache
def _environment(folder: Path) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, Path(__file__).parent]),  # frame.html is here
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        "code": code,
        "counted": counted,
        "four_digits": four_digits,
        "in_column": partial(in_column, decimals=4),
        "pixels": "{:.1f}".format,
    }
    return environment
