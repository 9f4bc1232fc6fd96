"""Text of a repository that can be shown on a terminal, in a log and on a page."""

import re

# In a log, these make GitHub Actions and Azure Pipelines do something: Azure's may stand anywhere in
# a line, GitHub's `::name::` at its start.
CI_COMMAND = re.compile(r"##(?=\[|vso\[)|^(\s*):(?=:)", re.IGNORECASE)


def printable(text: str) -> str:
    """Return a text on one line, without control characters and without commands of a CI log."""
    line = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape", "replace").decode()
        for letter in text.replace("\t", " ")
    )
    return CI_COMMAND.sub(_escaped_command, line)


def _escaped_command(match: re.Match[str]) -> str:
    return r"\x23#" if match[0] == "##" else rf"{match[1]}\x3a"
