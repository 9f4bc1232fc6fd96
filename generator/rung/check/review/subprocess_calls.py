"""The commands that Python code starts, as a text or as a list of arguments."""

import re
from collections.abc import Iterator

from rung.check.review.python_source import Source

STARTS = re.compile(
    r"\b(?:(?:session\.run\w*)\((?P<arguments>[^)]{0,1000})\)"
    r"|(?:subprocess\.(?:run|call)|check_call|check_output|Popen|os\.system|(?:c|ctx|context)\.run)"
    r"\([ \t\n]*(?:(?P<list>\[[^\]]{0,2000}\])|(?P<text>[^\n]{0,1000})))"
)
# What a function of the team's own takes, where its name says that it runs something.
RUNS = r"\b\w*(?:run|exec|call|popen|output|command|cmd)\w*\([ \t\n]*"
TAKEN = re.compile(rf"{RUNS}(?:(?P<list>\[[ \t\n]*[\"'][^\]]{{0,2000}}\])|(?P<name>\w+))")
NAMED = re.compile(
    r"^[ \t]*(?P<name>\w+)[ \t]*(?::[^=\n]{0,60})?=[ \t]*(?P<list>\[[ \t\n]*[\"'][^\]]{0,2000}\])",
    re.MULTILINE,
)
QUOTED = re.compile(r"""["']([^"'\n]*)["']""")


def commands(source: Source) -> Iterator[tuple[str, int]]:
    """Give each command that a file starts, and its line; arguments that it computes are left out."""
    text = source.text
    commands = {
        match.start(): match["arguments"]
        or match["list"]
        or (match["text"] or "").partition(", ")[0]
        for match in STARTS.finditer(text)
    }
    if "subprocess" in text:  # it has a function that starts what it is given
        taken = list(TAKEN.finditer(text))
        names = {match["name"] for match in taken}
        given = [match for match in taken if match["list"]]
        given += [match for match in NAMED.finditer(text) if match["name"] in names]
        known = set(commands.values())
        commands |= {
            match.start("list"): match["list"] for match in given if match["list"] not in known
        }
    for position, written in sorted(commands.items()):
        if command := " ".join(QUOTED.findall(written)):
            yield command, text.count("\n", 0, position) + 1
