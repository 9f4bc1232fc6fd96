"""Make a new project: its folder, its files and its first commit."""

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rung import options
from rung.core import level_contents
from rung.core.drafting import SAMPLE, Wanted, draft
from rung.core.rendering import answers_file, rendered_trees
from rung.core.rendering.render import render
from rung.core.template_source import Source
from rung.errors import RungError
from rung.levels.template_answers import check_answers
from rung.system import git
from rung.system.staging import check_free, clear_left_over, staged


@dataclass(frozen=True)
class CreatedProject:
    """A project that was just made.

    Args:
        folder: Its path.
        files: Its files, relative to the folder.
        level: The rung it starts on.
        repository: The repository that the folder is inside, or None.
        committed: Whether its files are in a first commit.
        signed: Whether that commit is in the user's name.
        asks: What the answers about infrastructure require of the team.
        drafted: What was inferred from the user's rows; empty if it begins with the example.
        kilobytes: The size of the user's rows by their path in the project.
    """

    folder: Path
    files: list[str]
    level: int
    repository: Path | None = None
    committed: bool = False
    signed: bool = True
    asks: list[str] = field(default_factory=list)
    drafted: str = ""
    kilobytes: Mapping[str, float] = field(default_factory=dict)


def create(
    destination: Path,
    source: Source,
    answers: Mapping[str, Any],
    *,
    defaults: bool,
    with_git: bool | None = None,
    rows: Wanted | None = None,
) -> CreatedProject:
    """Make a project: its folder, its files and its first commit, or nothing at all.

    Args:
        destination: A path that does not exist yet, or an empty folder.
        source: The template.
        answers: Answers by question.
        defaults: Take the default where no answer is given; ask the user otherwise.
        with_git: Whether to make a repository; None: unless the folder is inside one.
        rows: The user's rows, for drafts in place of the example.
    """
    folder = _normal(destination)
    clear_left_over(folder)
    _check(folder, source, answers, defaults=defaults)
    outer = git.repository_above(folder)
    with staged(folder) as room:
        render(source, room, answers, defaults=defaults)
        recorded = answers_file.read(room)
        # A climb names the version as Copier has recorded it: by a tag, if it is near.
        version = replace(source, ref=str(recorded.get("_commit")))
        rendered_trees.keep(version, answers_file.answers(recorded), room)
        drafted = draft(room, rows) if rows else ""
        files = _files(room)
        sample = [file for file in files if file.startswith(SAMPLE) and not file.endswith(".md")]
        sizes = {file: (room / file).stat().st_size / 1000 for file in sample} if rows else {}
        own = outer is None if with_git is None else with_git
        signed = git.start(room, "Start from Rung") if own else True
    asks = level_contents.contents(source, recorded).answers_ask
    level = int(recorded["level"])
    return CreatedProject(folder, files, level, outer, own, signed, asks, drafted, sizes)


def preview(
    destination: Path,
    source: Source,
    answers: Mapping[str, Any],
    *,
    defaults: bool,
    rows: Wanted | None = None,
) -> CreatedProject:
    """Return what `create` would create, without creating it."""
    folder = _normal(destination)
    _check(folder, source, answers, defaults=defaults)
    with tempfile.TemporaryDirectory(prefix="rung-") as scratch:
        room = Path(scratch) / folder.name
        render(source, room, answers, defaults=defaults)
        level = int(answers_file.read(room)["level"])
        drafted = draft(room, rows) if rows else ""
        return CreatedProject(folder, _files(room), level, drafted=drafted)


def _normal(destination: Path) -> Path:
    text = str(destination)
    if not text.isprintable():
        raise RungError(
            f"The folder's name {text!r} holds characters that do not print. Choose another one."
        )
    return options.expanded(destination).resolve() if text else destination.resolve()


def _check(folder: Path, source: Source, answers: Mapping[str, Any], *, defaults: bool) -> None:
    check_free(folder)
    check_answers(answers, source.read("levels/questions.yml"))
    level_contents.refuse_vendor(source, answers)
    if not defaults and not sys.stdin.isatty():
        raise RungError(
            "There is no terminal to ask the questions on.\n"
            "Add `--defaults`, and give the answers that differ with `-d QUESTION=ANSWER`."
        )


def _files(room: Path) -> list[str]:
    return sorted(
        path.relative_to(room).as_posix() for path in room.rglob("*") if not path.is_dir()
    )
