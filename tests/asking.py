"""Copies of the template: whole, or with few of its files for tests of questions; and their validators."""

import shutil
from pathlib import Path
from typing import Any

import jinja2
import msgspec

from tests.command import init
from tests.conftest import CI, QUESTIONS, ROOT

PROJECT = "templates/project"
ANSWERS = "{{ _copier_conf.answers_file }}.jinja"


def whole(folder: Path) -> Path:
    """Copy the template, without the library."""
    for part in ("levels", "templates"):
        ignored = shutil.ignore_patterns("__pycache__", "machinery")
        shutil.copytree(ROOT / part, folder / part, symlinks=True, ignore=ignored)
    shutil.copy(ROOT / "copier.yml", folder)
    return folder


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
    return init(template(folder, *files))


JINJA = jinja2.Environment(extensions=["jinja2_ansible_filters.AnsibleCoreFiltersExtension"])


def refusal(question: str, **answers: Any) -> str:
    """Return what Copier says of an answer; nothing if it is accepted."""
    context = {"vendors": msgspec.to_builtins(CI)} | answers
    return JINJA.from_string(QUESTIONS[question]["validator"]).render(context).strip()
