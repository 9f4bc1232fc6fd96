"""A copy of a repository, uncommitted changes and history included, in which programs may run."""

import os
import shutil
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path, PurePosixPath

from rung.errors import RungError
from rung.system import git
from rung.system.git import root

MAX_BYTES = 2_000_000_000
MAX_FILES = 200_000


def copy(repository: Path, into: Path) -> Path:
    """Copy the files of a repository that git does not ignore; without git, all files.

    The copy has the history, in its own object database, and no remote, so that nothing can be
    pushed by accident. Links within the repository are copied as links; others are left out.

    Returns:
        The folder in the copy that corresponds to `repository`.

    Raises:
        RungError: The repository is too large, or git cannot read it.
    """
    top = root(repository) if shutil.which("git") else None
    if top is None:
        _copy_files(repository, into, _all_files(repository))
        return into
    listed = git.run(top, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    within = repository.absolute().relative_to(top)
    # A repository above the folder may ignore it, or not track it.
    if within.parts and f"\0{within.as_posix()}/" not in f"\0{listed}":
        _copy_files(repository, into, _all_files(repository))
        return into
    if git.revision(top, "HEAD"):
        # With shared or hard-linked objects, git in the copy would change the dates of the original.
        clone = ("clone", "--quiet", "--no-hardlinks", "--no-checkout", "--template=")
        local = {"GIT_ALLOW_PROTOCOL": "file"}
        git.run(top, *clone, "--", str(top), str(into), extra=local)
        git.run(into, "remote", "remove", "origin")
        git.run(into, "read-tree", "HEAD")
    else:
        git.run(top, "init", "--quiet", "--template=", "--", str(into))
    _copy_files(top, into, filter(None, dict.fromkeys(listed.split("\0"))))
    return into / within


def _all_files(folder: Path) -> Iterator[str]:
    """Yield the paths of all files outside of .git, .venv and node_modules."""
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in (".git", ".venv", "node_modules")]
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        yield from ((Path(parent) / name).relative_to(folder).as_posix() for name in names + links)


def _copy_files(origin: Path, into: Path, paths: Iterable[str]) -> None:
    listed = list(islice(paths, MAX_FILES + 1))
    if len(listed) > MAX_FILES:
        raise _too_much(origin, f"{MAX_FILES:,} files")
    bytes_left = MAX_BYTES
    for path in listed:
        source, target = origin / path, into / path
        if ".git" in PurePosixPath(path).parts:
            continue
        if source.is_symlink():
            if (
                source.resolve().is_relative_to(origin.resolve())
                and not source.readlink().is_absolute()
            ):
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(source.readlink())
        elif source.is_file():
            bytes_left -= source.stat().st_size
            if bytes_left < 0:
                raise _too_much(origin, f"{MAX_BYTES / 1e9:g} GB")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    into.mkdir(exist_ok=True)


def _too_much(origin: Path, amount: str) -> RungError:
    return RungError(
        f"{origin} holds more than {amount} that would have to be copied. Check it without `--prove`."
    )
