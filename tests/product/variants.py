"""Nine projects that cover every pair of answers, and how a person uses one."""

import re
from pathlib import Path
from typing import Any

import copier as copier_api

from tests.command import git
from tests.conftest import CHOICES
from tests.product.conftest import commit, run

VARIANTS: list[dict[str, Any]] = [
    dict(zip(CHOICES, answers, strict=True))
    for answers in [
        ("velocity", "one", "github", 0),
        ("governance", "one", "gitlab", 1),
        ("velocity", "one", "azure", 2),
        ("governance", "team", "github", 1),
        ("velocity", "team", "gitlab", 2),
        ("governance", "team", "azure", 0),
        ("governance", "teams", "github", 2),
        ("velocity", "teams", "gitlab", 0),
        ("velocity", "teams", "azure", 1),
    ]
]


class Project:
    """A generated project, in which commands are typed as a person would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, command: str) -> str:
        """Run a command line that must succeed, and return all it printed."""
        return run("bash", "-c", command, cwd=self.folder).stdout

    def fail(self, command: str) -> str:
        """Run a command line that must fail, and return all it printed."""
        done = run("bash", "-c", command, cwd=self.folder, expect=None)
        assert done.returncode != 0, done.stdout
        return done.stdout

    def commit(self, message: str) -> None:
        """Commit everything that git does not ignore."""
        commit(self.folder, message)

    def is_clean(self) -> bool:
        """Tell whether git sees nothing to commit."""
        return not git(self.folder, "status", "--porcelain")


def start(template: Path, folder: Path, **answers: Any) -> Project:
    """Make a project in a repository of its own, installed and committed."""
    copier_api.run_copy(str(template), folder, data=answers, defaults=True, quiet=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    project = Project(folder)
    project.commit("Start")
    project.run("uv sync")
    project.commit("Lock the packages")
    return project


def commands_of_the_readme(project: Project) -> list[str]:
    """Read the commands of the README's shell blocks, without their comments."""
    text = (project.folder / "README.md").read_text()
    blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


def commands_of_the_rung(project: Project) -> list[str]:
    """Read the commands of the table in RUNG.md."""
    text = (project.folder / "RUNG.md").read_text()
    return re.findall(r"^\| `(uv run [^`]+)` \|", text, re.MULTILINE)
