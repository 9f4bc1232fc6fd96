"""A location in a repository that matches a predicate, and how its text is shown."""

import re
from dataclasses import dataclass

# In a log, these make GitHub Actions and Azure Pipelines do something: Azure's may stand anywhere in
# a line, GitHub's `::name::` at its start.
CI_COMMAND = re.compile(r"##(?=\[|vso\[)|^(\s*):(?=:)", re.IGNORECASE)


@dataclass(frozen=True)
class Hit:
    """What matched, where.

    Attributes:
        path: from the root; empty where something is not there.
        line: from 1, or 0 for the file itself.
        text: what matched.
        runs: whether it may; not in a function that nothing names.
    """

    path: str
    line: int
    text: str
    runs: bool = True

    @property
    def in_notebook(self) -> bool:
        """Say whether it is in a notebook."""
        return self.path.endswith(".ipynb")

    @property
    def only_declared(self) -> bool:
        """Say whether it only shows an intention."""
        return self.in_notebook or not self.runs


def printable(text: str) -> str:
    """Return a text of a repository that can be shown: one line, without what a log obeys."""
    line = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape", "replace").decode()
        for letter in text.replace("\t", " ")
    )
    return CI_COMMAND.sub(_escaped_command, line)


def _escaped_command(match: re.Match[str]) -> str:
    return r"\x23#" if match[0] == "##" else rf"{match[1]}\x3a"
