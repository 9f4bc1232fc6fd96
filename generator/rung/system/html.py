"""Pages from Jinja templates: in HTML all text is escaped and printed on one line."""

import re
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from rung.system.printable import printable, printable_lines


def render(template: str, **values: Any) -> str:
    """Return a page.

    A page of HTML extends `system/page.html.jinja`, which has the blocks title, style (more CSS) and
    body. The filter `prose` also turns backquotes into code, and `lines` keeps line breaks. The path of
    the template is that in this package, such as `check/report/page.html.jinja`.
    """
    is_html = template.endswith(".html.jinja")
    environment = Environment(
        loader=PackageLoader("rung", ""),
        autoescape=is_html,
        finalize=_shown if is_html else None,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"prose": _prose, "lines": _lines}
    return environment.get_template(template).render(values)


def _shown(value: Any) -> Any:
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _prose(text: str) -> Markup:
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(printable(text)))))


def _lines(text: str) -> Markup:
    return escape(printable_lines(text))
