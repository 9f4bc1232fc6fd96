"""Make a new project: its folder, its files and its first commit."""

import contextlib
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rung import options
from rung.core import level_contents
from rung.core.drafting import SAMPLE, Wanted, draft
from rung.core.rendering import answers_file, copier_settings, rendered_trees
from rung.core.rendering.render import render
from rung.core.template_source import Source
from rung.errors import RungError
from rung.levels.template_answers import check_answers
from rung.system import git
from rung.system.staging import check_free, clear_left_over, staged


@dataclass(frozen=True)
class CreatedProject:
    """A project that was just made.

    `repository` is one that the folder is inside, `signed` says whether the commit is in the user's name,
    `asks` what the answers require of the team, `drafted` what was inferred from the user's rows, and
    `kilobytes` the sizes of those rows by path.
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
    dry_run: bool = False,
) -> CreatedProject:
    """Make a project: its folder, its files and its first commit, or nothing at all.

    With `with_git` None a repository is made unless the folder is inside one.
    """
    folder = _normal(destination)
    if not dry_run:
        clear_left_over(folder)
    _check(folder, source, answers, defaults=defaults)
    settings = copier_settings.of_new_projects(source.read("levels/questions.yml"))
    outer = git.repository_above(folder)
    with _previewed(folder) if dry_run else staged(folder) as room:
        render(source, room, settings | dict(answers), defaults=defaults)
        recorded = answers_file.read(room)
        # A climb names the version as Copier has recorded it: by a tag, if it is near.
        version = replace(source, ref=str(recorded.get("_commit")))
        if not dry_run:
            rendered_trees.keep(version, answers_file.answers(recorded), room)
        drafted = draft(room, rows) if rows else ""
        paths = {path.relative_to(room).as_posix(): path for path in room.rglob("*")}
        files = sorted(name for name, path in paths.items() if not path.is_dir())
        sizes = {
            file: paths[file].stat().st_size / 1000
            for file in files
            if rows and file.startswith(SAMPLE) and not file.endswith(".md")
        }
        own = not dry_run and (outer is None if with_git is None else with_git)
        signed = git.start(room, "Start from Rung") if own else True
    asks = level_contents.contents(source, recorded).answers_ask
    asks += level_contents.missing(recorded, files)
    level = int(recorded["level"])
    return CreatedProject(folder, files, level, outer, own, signed, asks, drafted, sizes)


@contextlib.contextmanager
def _previewed(folder: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="rung-") as scratch:
        yield Path(scratch) / folder.name


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
