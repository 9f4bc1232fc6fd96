"""How a repository is kept: its owner, its last climb, how far its template is behind."""

import subprocess
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from rung.levels import template
from rung.levels.template_answers import ANSWERS
from rung.system import git

if TYPE_CHECKING:
    from packaging.version import Version

CODEOWNERS = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS", ".gitlab/CODEOWNERS")
LARGEST = 100_000  # bytes of CODEOWNERS that are read
UNKNOWN = "unknown"
SECONDS = 5.0  # for git to answer: a history can be long, and a file of a repository a pipe


def owner(folder: Path) -> str:
    """Return who owns all files by CODEOWNERS, where the last line for `*` counts; else nothing."""
    for path in CODEOWNERS:
        file = folder / path
        if file.is_symlink() or not file.is_file():
            continue
        with file.open(encoding="utf-8", errors="replace") as stream:
            lines = [line.partition("#")[0].split() for line in stream.read(LARGEST).splitlines()]
        return next((" ".join(line[1:]) for line in reversed(lines) if line[:1] == ["*"]), "")
    return ""


def last_climb(folder: Path) -> str:
    """Return the day of the last commit that changed the answers, by a climb or an update.

    `before DAY`: the clone is shallow, and its oldest commit has these answers already.
    """
    form = ("--no-mailmap", "--format=%cs %P")  # no mailmap: it could be a pipe
    day, _, parents = _answer(folder, "log", "-1", *form, "--", ANSWERS).partition(" ")
    is_first = bool(day) and not parents
    if is_first and _answer(folder, "rev-parse", "--is-shallow-repository") == "true":
        return f"before {day}"
    return day


def _answer(folder: Path, *question: str) -> str:
    """Return what git answers in time, or nothing."""
    try:
        done = git.completed(folder, *question, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout.decode(errors="replace").strip()


def behind(version: str, reference: str) -> str:
    """Return by how many releases in Rung's changelog a version of the template is behind another."""
    if not version:
        return ""
    if version == reference:
        return "0"
    low, high, releases = template.release(version), template.release(reference), _releases()
    if low is None or high is None or high not in releases:
        return UNKNOWN
    return str(sum(low < release <= high for release in releases))


@lru_cache(maxsize=1)  # the same for every repository of a fleet
def _releases() -> set["Version"]:
    text = (template.folder() / template.CHANGELOG).read_text("utf-8")
    return set(filter(None, (template.release(title) for title, _ in template.sections(text))))
