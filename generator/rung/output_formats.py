"""The output formats of the commands: a new format is a function, and a line here.

A function is imported when its format is used, so that `rung --help` loads none of them.
"""

from collections.abc import Callable
from importlib import import_module

from rung.errors import RungError

# Functions by command and format. Those of one command have the same arguments and return text.
FORMATS: dict[str, dict[str, str]] = {
    "check": {
        "text": "rung.check.report.text:make",
        "json": "rung.check.report.facts:make",
        "markdown": "rung.check.report.page:markdown",
        "sarif": "rung.check.report.sarif:make",
        "html": "rung.check.report.page:html",
        "badge": "rung.check.report.page:badge",
    },
    "fleet": {
        "text": "rung.check.fleet.table:text",
        "json": "rung.check.fleet.table:as_json",
        "csv": "rung.check.fleet.table:as_csv",
        "html": "rung.check.fleet.table:page",
    },
    "assess": {
        "text": "rung.assess.formats:text",
        "json": "rung.assess.formats:as_json",
        "markdown": "rung.assess.formats:markdown",
        "html": "rung.assess.formats:html",
    },
    "plan": {
        "text": "rung.core.climbing.messages:plan",
        "json": "rung.core.climbing.messages:plan_as_json",
    },
    "climb": {
        "text": "rung.core.climbing.messages:text",
        "json": "rung.core.climbing.messages:as_json",
    },
    "doctor": {"text": "rung.core.needs:text", "json": "rung.core.needs:as_json"},
}


def names(command: str) -> str:
    """Return the names of a command's formats, as its help lists them."""
    *most, last = FORMATS[command]
    return f"{', '.join(most)} or {last}."


def writer(command: str, form: str) -> Callable[..., str]:
    """Return the function that writes a format of a command."""
    known = FORMATS[command]
    if form not in known:
        raise RungError(f"There is no format `{form}`. Give one of {', '.join(known)}.")
    module, _, function = known[form].partition(":")
    write: Callable[..., str] = getattr(import_module(module), function)
    return write
