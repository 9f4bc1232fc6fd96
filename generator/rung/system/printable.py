"""Text from a repository, made safe for a terminal, a CI log and a page."""

import re
from collections.abc import Sequence

# Commands that GitHub Actions and Azure Pipelines obey when they read them in a log: Azure's anywhere
# in a line, GitHub's `::name::` at its start.
CI_COMMAND = re.compile(r"##(?=\[|vso\[)|^(\s*):(?=:)", re.IGNORECASE)


def printable(text: str) -> str:
    """Return a text on one line, without control characters and without commands of a CI log."""
    line = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape", "replace").decode()
        for letter in text.replace("\t", " ")
    )
    return CI_COMMAND.sub(_escaped_command, line)


def some(paths: Sequence[str], most: int) -> str:
    """Return the first paths as a list in a sentence, and how many more there are."""
    more = f" and {len(paths) - most} more" if len(paths) > most else ""
    return f"{', '.join(f'`{printable(path)}`' for path in paths[:most])}{more}"


def printable_lines(text: str) -> str:
    """Return a text whose lines are printable, each by itself."""
    return "\n".join(map(printable, text.split("\n")))


def _escaped_command(match: re.Match[str]) -> str:
    return r"\x23#" if match[0] == "##" else rf"{match[1]}\x3a"
