"""Which repositories belong to a fleet: those below a folder, or those that a file lists."""

import os
from dataclasses import dataclass
from pathlib import Path

from rung import options
from rung.check.review.files import Reading, glob_regex, load_reading
from rung.errors import RungError
from rung.levels import template
from rung.levels.template_answers import ANSWERS

DEPTH = 5  # folders below the one that was named
MAX_FOLDERS = 100_000  # that are looked into
MAX_REPOSITORIES = 10_000  # repositories
LIST_BYTES = 4_000_000
MARKS = (".git", ANSWERS)


@dataclass(frozen=True)
class Repository:
    """A repository of the fleet: what it is called in the table, and its folder."""

    name: str
    folder: Path


def listed(where: Path) -> list[Repository]:
    """Return the repositories of a fleet, by name, each once.

    A folder is one when it holds `.git`, `.copier-answers.yml` or a file of dependencies; what is
    below it belongs to it. The folder that was named is one only when none is found below it.

    Args:
        where: a folder, or a file with the path of a repository on each line.

    Raises:
        RungError: There is nothing there, nothing is found, or it is too much.
    """
    if where.is_file():
        repositories = _in_file(where)
    elif where.is_dir():
        repositories = _below(where, load_reading(template.folder() / "levels"))
    else:
        raise RungError(f"{where} is neither a folder nor a file. Name a folder of repositories.")
    if not repositories:
        raise RungError(
            f"No repository was found in {where}. Name a folder that has some at most {DEPTH} folders "
            "below it, or a file with the path of one on each line."
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
    by_real_path: dict[str, Repository] = {}
    for name in names:
        folder = file.parent / options.expanded(Path(name))
        by_real_path.setdefault(os.path.realpath(folder), Repository(name, folder))
    return list(by_real_path.values())


def _below(where: Path, reads: Reading) -> list[Repository]:
    repositories: list[Repository] = []
    waiting = [(where, 0)]
    looked = 0
    while waiting:
        folder, depth = waiting.pop()
        looked += 1
        if looked > MAX_FOLDERS or len(repositories) > MAX_REPOSITORIES:
            raise RungError(
                f"{where} holds more than can be looked through ({MAX_FOLDERS:,} folders, {MAX_REPOSITORIES:,} "
                "repositories). Name a smaller folder, or a file that lists them."
            )
        names, folders = _entries(folder)
        # A clone counts whatever its name; other folders of such names hold no projects.
        ordinary = not depth or _is_ordinary(folder.name, reads)
        if depth and (".git" in names or (ordinary and _is_repository(names, reads))):
            repositories.append(Repository(folder.relative_to(where).as_posix(), folder))
        elif ordinary and depth < DEPTH:
            waiting += [(folder / name, depth + 1) for name in folders]
    if not repositories and _is_repository(_entries(where)[0], reads):
        repositories = [Repository(where.resolve().name, where)]
    return sorted(repositories, key=lambda repository: repository.name)


def _entries(folder: Path) -> tuple[list[str], list[str]]:
    """Return the names in a folder, and those of its folders; links are not followed."""
    try:
        with os.scandir(folder) as scanned:
            entries = list(scanned)
            return (
                [entry.name for entry in entries],
                [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)],
            )
    except OSError:
        return [], []


def _is_repository(names: list[str], reads: Reading) -> bool:
    if any(mark in names for mark in MARKS):
        return True
    regexes = [glob_regex(glob) for glob in reads.dependencies]
    return any(regex.fullmatch(name.lower()) for name in names for regex in regexes)


def _is_ordinary(name: str, reads: Reading) -> bool:
    return not name.startswith(".") and not reads.leaves_out(name.lower())
