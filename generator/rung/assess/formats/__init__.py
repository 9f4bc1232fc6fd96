"""An assessment to read: text, JSON, Markdown and HTML."""

from collections.abc import Callable, Mapping

from rung.assess.assessment import Assessment
from rung.assess.formats.data import as_json
from rung.assess.formats.html import as_html
from rung.assess.formats.markdown import as_markdown
from rung.assess.formats.text import as_text

FORMATS: Mapping[str, Callable[[Assessment], str]] = {
    "text": as_text,
    "json": as_json,
    "markdown": as_markdown,
    "html": as_html,
}
