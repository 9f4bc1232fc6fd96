"""A project as its last commit has it: a folder of a repository, and the bench that reads it."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rung.core.rendering import workbench
from rung.core.rendering.workbench import Workbench
from rung.system import git


@dataclass(frozen=True)
class Project:
    """A project as its last commit has it.

    Args:
        bench: The repository that holds the trees.
        folder: The project.
        prefix: The project's folder within its repository; empty for the root.
        head: The last commit.
    """

    bench: Workbench
    folder: Path
    prefix: str
    head: str

    @property
    def top(self) -> Path:
        """Return the root of the work tree."""
        return self.bench.top

    @property
    def tree(self) -> str:
        """Return the tree of the project's folder."""
        return self.tree_at(self.head)

    def tree_at(self, commit: str) -> str:
        """Return the tree of the project's folder in a commit."""
        return self.bench.inside(commit, self.prefix)

    def path(self, path: str) -> str:
        """Return the path in the repository of a file of the project."""
        return f"{self.prefix}/{path}" if self.prefix else path

    def repository_tree(self, tree: str) -> str:
        """Return the repository's tree with the project's folder replaced."""
        return self.bench.grafted(f"{self.head}^{{tree}}", self.prefix, tree)


@contextlib.contextmanager
def opened(top: Path, folder: Path, head: str) -> Iterator[Project]:
    """Yield the project in a folder of a repository, at a commit."""
    with workbench.opened(top) as bench:
        yield Project(bench, folder, git.prefix(top, folder), head)
