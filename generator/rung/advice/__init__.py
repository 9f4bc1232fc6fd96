"""An assessment to read: text, JSON, Markdown and HTML."""

from collections.abc import Callable, Mapping

from rung.advice.data import as_json
from rung.advice.html import as_html
from rung.advice.markdown import as_markdown
from rung.advice.text import as_text
from rung.assessment.assess import Assessment

FORMATS: Mapping[str, Callable[[Assessment], str]] = {
    "text": as_text,
    "json": as_json,
    "markdown": as_markdown,
    "html": as_html,
}
