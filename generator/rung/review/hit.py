"""A place in a repository that supports a predicate."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Hit:
    """What matched, where.

    Attributes:
        path: from the root; empty where something is not there.
        line: from 1, or 0 for the file as a whole.
        text: what matched.
    """

    path: str
    line: int
    text: str

    @property
    def in_notebook(self) -> bool:
        """Say whether it stands in a notebook."""
        return self.path.endswith(".ipynb")


def printable(text: str) -> str:
    """Return a text of a repository that can be shown: one line, without control characters."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape", "replace").decode()
        for letter in text.replace("\t", " ")
    )
