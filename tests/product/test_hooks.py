"""The commit hooks let clean work in, and refuse what they are there for."""

from pathlib import Path

import pytest

from tests.product.conftest import Started, run

pytestmark = pytest.mark.slow

# Put together here, so that this file is not refused by hooks of the same kind.
KEY = "AKIA" + "IOSFODNN7EXAMPLQ"
REFUSED = {
    "src/notes.py": ("import os\n", "Lint"),
    "settings.txt": (f"aws = '{KEY}'\n", "Find secrets"),
    "half.md": ("<" * 7 + " before updating\n", "Refuse conflict markers"),
    "half.md.rej": ("a change\n", "Refuse .rej files"),
    "data/incoming/new.csv": ("a,b\n1,2\n", "Refuse raw rows where DVC versions them"),
    "big.bin": ("0" * 5_000_001, "Refuse files over 5 MB"),
}


@pytest.fixture(scope="module")
def project(start: Started) -> Path:
    project = start(ci="github", level=2, use_case="governance")
    run("uv", "run", "poe", "hooks", cwd=project)
    return project


def test_every_file_of_a_new_project_passes_the_hooks(project: Path) -> None:
    run("uv", "run", "pre-commit", "run", "--all-files", cwd=project)


@pytest.mark.parametrize("path", REFUSED)
def test_a_commit_is_refused(project: Path, path: str) -> None:
    text, hook = REFUSED[path]
    (project / path).write_text(text)
    run("git", "add", "--force", path, cwd=project)

    done = run("git", "commit", "--quiet", "--message", "Try", cwd=project, expect=1)

    refusals = [line.split("..")[0] for line in done.stdout.splitlines() if "Failed" in line]
    assert refusals == [hook], done.stdout
    run("git", "reset", "--quiet", "--hard", cwd=project)


def test_a_good_commit_passes(project: Path) -> None:
    readme = project / "README.md"
    readme.write_text(readme.read_text() + "\nA line more.\n")
    run("git", "add", "README.md", cwd=project)

    run("git", "commit", "--quiet", "--message", "Say more", cwd=project)

    assert run("git", "log", "-1", "--format=%s", cwd=project).stdout.strip() == "Say more"
