"""A copy of a repository that programs may be run in: as it is there, with its history."""

import os
import shutil
from pathlib import Path, PurePosixPath

from rung.errors import RungError
from rung.system import git
from rung.system.git import root

MAX_BYTES = 2_000_000_000
MAX_FILES = 200_000


def copy(repository: Path, into: Path) -> Path:
    """Copy the files of a repository that git tracks or would; all of them where there is no git.

    The copy has the history, in objects of its own, and no remote, so that nothing that runs there
    can push back by accident. Links are copied as
    links where they stay inside, and remaining out where they lead elsewhere.

    Args:
        repository: its folder, or one inside it.
        into: a folder that does not exist.

    Returns:
        The folder in the copy that stands for the first one.

    Raises:
        RungError: It is too large, or git cannot read it.
    """
    top = root(repository) if shutil.which("git") else None
    if top is None:
        _files(repository, into, _all(repository))
        return into
    listed = git.run(top, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    within = repository.absolute().relative_to(top)
    if within.parts and f"\0{within.as_posix()}/" not in f"\0{listed}":
        _files(repository, into, _all(repository))  # git above it ignores it, or does not know it
        return into
    if git.output(top, "rev-parse", "--verify", "--quiet", "HEAD"):
        # Objects lent or linked would be touched: git renews the date of one that it finds there.
        clone = ("clone", "--quiet", "--no-hardlinks", "--no-checkout", "--template=")
        local = {"GIT_ALLOW_PROTOCOL": "file"}
        git.run(top, *clone, "--", str(top), str(into), extra=local)
        git.run(into, "remote", "remove", "origin")
        git.run(into, "read-tree", "HEAD")
    else:
        git.run(top, "init", "--quiet", "--template=", "--", str(into))
    _files(top, into, list(dict.fromkeys(listed.split("\0"))))
    return into / within


def _all(folder: Path) -> list[str]:
    """Return the paths of all files, without environments and what git keeps."""
    paths: list[str] = []
    for here, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in (".git", ".venv", "node_modules")]
        below = Path(here).relative_to(folder)
        paths += [(below / name).as_posix() for name in names]
        paths += [(below / name).as_posix() for name in folders if (Path(here) / name).is_symlink()]
        _few_enough(folder, len(paths))
    return paths


def _files(origin: Path, into: Path, paths: list[str]) -> None:
    remaining = MAX_BYTES
    _few_enough(origin, len(paths))
    for path in paths:
        source, target = origin / path, into / path
        if not path or ".git" in PurePosixPath(path).parts:
            continue
        if source.is_symlink():
            if (
                source.resolve().is_relative_to(origin.resolve())
                and not source.readlink().is_absolute()
            ):
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(source.readlink())
        elif source.is_file():
            remaining -= source.stat().st_size
            if remaining < 0:
                raise RungError(
                    f"{origin} holds more than {MAX_BYTES / 1e9:g} GB that would have to be copied. "
                    "Check it without `--prove`."
                )
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    into.mkdir(exist_ok=True)


def _few_enough(origin: Path, number: int) -> None:
    if number > MAX_FILES:
        raise RungError(
            f"{origin} holds more than {MAX_FILES:,} files that would have to be copied. "
            "Check it without `--prove`."
        )
