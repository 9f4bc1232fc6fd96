"""The commands that Python code starts, as a text or as a list of words."""

import re
from collections.abc import Iterator

from rung.review.python_source import Source

STARTS = re.compile(
    r"\b(?:(?:session\.run\w*)\((?P<words>[^)]{0,1000})\)"
    r"|(?:subprocess\.(?:run|call)|check_call|check_output|Popen|os\.system|(?:c|ctx|context)\.run)"
    r"\([ \t\n]*(?:(?P<list>\[[^\]]{0,2000}\])|(?P<text>[^\n]{0,1000})))"
)
QUOTED = re.compile(r"""["']([^"'\n]*)["']""")


def by(source: Source) -> Iterator[tuple[str, int]]:
    """Give each command that a file starts, and its line; words that it computes are left out."""
    for match in STARTS.finditer(source.text):
        said = match["words"] or match["list"] or (match["text"] or "").partition(", ")[0]
        words = " ".join(QUOTED.findall(said))
        if words:
            yield words, source.text.count("\n", 0, match.start()) + 1
