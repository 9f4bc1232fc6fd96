"""A template that asks what Rung's asks, and renders few of its files: for tests of questions."""

import shutil
from pathlib import Path

from tests.command import git
from tests.conftest import ROOT

PROJECT = "templates/project"
ANSWERS = "{{ _copier_conf.answers_file }}.jinja"


def template(folder: Path, *files: str) -> Path:
    """Make it, with these files of the template's project."""
    shutil.copytree(ROOT / "levels", folder / "levels")
    shutil.copy(ROOT / "copier.yml", folder)
    for file in (ANSWERS, *files):
        (folder / PROJECT / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / PROJECT / file, folder / PROJECT / file)
    return folder


def repository(folder: Path, *files: str) -> Path:
    """Make it as a repository with one commit, as `rung` asks for."""
    template(folder, *files)
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "commit", "-qm", "Ask")
    return folder
