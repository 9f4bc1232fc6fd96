"""The repositories of a fleet: those below a folder, those that a file lists, or URLs."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rung import options
from rung.check.fleet import clones
from rung.check.review.files import Reading, glob_regex, is_bare, load_reading
from rung.errors import RungError
from rung.levels import template
from rung.levels.template_answers import ANSWERS

MAX_DEPTH = 5  # levels of folders
MAX_FOLDERS = 100_000  # that are searched
MAX_REPOSITORIES = 10_000
LIST_BYTES = 4_000_000
MARKS = (".git", ANSWERS)


@dataclass(frozen=True)
class Repository:
    """A repository of the fleet: its name in the table, and its folder or its URL."""

    name: str
    folder: Path
    url: str = ""


def fleet(places: Sequence[str]) -> list[Repository]:
    """Return the repositories of several places, each once: URLs, folders and lists."""
    found: dict[tuple[str, str], Repository] = {}
    for place in places:
        is_url = "://" in place or clones.is_url(place)
        named = [_named(place, Path())] if is_url else listed(options.expanded(Path(place)))
        for repository in named:
            found.setdefault((repository.url, os.path.realpath(repository.folder)), repository)
    return list(found.values())


def _named(name: str, folder: Path) -> Repository:
    """Return the repository at a URL, or at a path relative to a folder."""
    if clones.is_url(name):
        return Repository("/".join(clones.parts(name)[1].split("/")[-2:]), Path(), name)
    if "://" in name:
        without = re.sub("://.*@", "://", name)  # all that may be a password
        raise RungError(
            f"`{without}` is not the URL of a repository: https://HOST/PATH, for example."
        )
    return _at(name, folder / options.expanded(Path(name)))


def _at(name: str, folder: Path) -> Repository:
    """Return the repository in a folder; a bare one is read by its URL."""
    if is_bare(folder):
        return Repository(name, Path(), folder.resolve().as_uri())
    return Repository(name, folder)


def listed(where: Path) -> list[Repository]:
    """Return the repositories of a fleet, by name, each once.

    A bare repository, or a folder with `.git`, `.copier-answers.yml` or a dependency file, is one, and
    the folders below it are not. `where` itself counts only if no repository is found below it.

    Raises:
        RungError: The path does not exist, or has no repositories or too many.
    """
    if where.is_file():
        repositories = _in_file(where)
    elif where.is_dir():
        repositories = _below(where, load_reading(template.folder() / "levels"))
    else:
        raise RungError(f"{where} is neither a folder nor a file. Name a folder of repositories.")
    if not repositories:
        raise RungError(
            f"No repository was found in {where}. Name a folder that has some at most {MAX_DEPTH} folders "
            "below it, or a file with the path or the URL of one on each line."
        )
    return repositories


def _in_file(file: Path) -> list[Repository]:
    try:
        if file.stat().st_size > LIST_BYTES:
            raise RungError(f"{file} is too large for a list of repositories.")
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RungError(f"{file} cannot be read as a list of repositories: {error}.") from error
    if "\0" in text:
        raise RungError(f"{file} is not a list of repositories: it is not text.")
    lines = (line.strip() for line in text.splitlines())
    names = dict.fromkeys(line for line in lines if line and not line.startswith("#"))
    if len(names) > MAX_REPOSITORIES:
        raise RungError(f"{file} lists more than {MAX_REPOSITORIES:,} repositories. Divide it.")
    return [_named(name, file.parent) for name in names]


def _below(where: Path, reading: Reading) -> list[Repository]:
    repositories: list[Repository] = []
    waiting = [(where, 0)]
    searched = 0
    while waiting:
        folder, depth = waiting.pop()
        searched += 1
        if searched > MAX_FOLDERS or len(repositories) > MAX_REPOSITORIES:
            raise RungError(
                f"{where} holds more than can be looked through ({MAX_FOLDERS:,} folders, {MAX_REPOSITORIES:,} "
                "repositories). Name a smaller folder, or a file that lists them."
            )
        names, folders = _entries(folder)
        # A clone counts whatever its name; other folders with left-out names contain no projects.
        name = folder.name.lower()
        ordinary = not depth or not (name.startswith(".") or reading.leaves_out(name))
        if depth and (".git" in names or (ordinary and _is_repository(folder, names, reading))):
            repositories.append(_at(folder.relative_to(where).as_posix(), folder))
        elif ordinary and depth < MAX_DEPTH:
            waiting += [(folder / name, depth + 1) for name in folders]
    if not repositories and _is_repository(where, _entries(where)[0], reading):
        repositories = [_at(where.resolve().name, where)]
    return sorted(repositories, key=lambda repository: repository.name)


def _entries(folder: Path) -> tuple[list[str], list[str]]:
    """Return the names of all entries of a folder, and of its folders without links."""
    try:
        with os.scandir(folder) as scanned:
            entries = list(scanned)
            return (
                [entry.name for entry in entries],
                [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)],
            )
    except OSError:
        return [], []


def _is_repository(folder: Path, names: list[str], reading: Reading) -> bool:
    if any(mark in names for mark in MARKS) or ("HEAD" in names and is_bare(folder)):
        return True
    regexes = [glob_regex(glob) for glob in reading.dependencies]
    return any(regex.fullmatch(name.lower()) for name in names for regex in regexes)
