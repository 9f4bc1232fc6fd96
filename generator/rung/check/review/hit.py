"""A location in a repository that matches a predicate."""

from dataclasses import dataclass


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
