"""Renders of the template as git trees, made once and kept in Rung's cache.

A render depends on the template's commit and address, on the answers, and on the user's settings of
Copier. So it is kept under the hash of these, in a repository beside the template's.
"""

import contextlib
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rung.core import cache
from rung.core.rendering.render import read_settings, render
from rung.core.rendering.workbench import Entry, Workbench
from rung.core.template_source import Source
from rung.errors import RungError
from rung.levels.template_answers import ANSWERS
from rung.system import git, globs, process

FORM = 1  # increased when the content of cached renders changes


def rendered(bench: Workbench, source: Source, answers: Mapping[str, Any]) -> str:
    """Return the tree that the template renders for these answers, all files included.

    Args:
        bench: Where the tree can be read afterwards.
        source: The template and its version.
        answers: Answers by question; a missing one takes the default.

    Raises:
        RungError: It cannot be rendered, or has a path at which no file may be written.
    """
    store = bench.renders
    key = _key(source, answers)
    if key:
        tree_id = cache.revision(store, key)
        if tree_id and _is_complete(bench, tree_id):
            return tree_id
    with tempfile.TemporaryDirectory(prefix="rung-") as scratch:
        room = Path(scratch) / "project"
        render(source, room, answers, defaults=True)
        tree = _stored(room, store)
    process.raise_lost_stop()
    if not _is_complete(
        bench, tree
    ):  # git does not rewrite a damaged object that has the right name
        raise RungError(
            f"The cache of renders {store} is damaged, and cannot repair itself.\n"
            "Delete that folder (all in it can be made again), then run the same command again."
        )
    if key:
        cache.run(store, "update-ref", key, tree)
    return tree


def keep(source: Source, answers: Mapping[str, Any], room: Path) -> None:
    """Keep the files of a new project as a render, to spare its first climb one.

    Args:
        source: The template and its version.
        answers: The answers that the project has recorded.
        room: Its folder, with exactly the files that Copier wrote.
    """
    key = _key(source, answers)
    if key is None:
        return
    with (
        contextlib.suppress(RungError, OSError),  # the climb renders it, and says what is wrong
        cache.renders("sha1") as store,
    ):
        cache.run(store, "update-ref", key, _stored(room, store))


def _is_complete(bench: Workbench, tree: str) -> bool:
    """Say whether no object of a render is missing, for example after a power cut."""
    try:
        wanted = {entry.oid for entry in bench.files(tree).values()}
        return bench.sizes(wanted).keys() == wanted
    except RungError:
        return False


def without(bench: Workbench, tree: str, paths: Iterable[str]) -> str:
    """Return a tree without some of its files."""
    return bench.edited(tree, dict.fromkeys(paths))


def of_the_user(files: Iterable[str], sources: Iterable[Source]) -> set[str]:
    """Return the files that are written once and then the user's, by levels/yours.yml (decision 8)."""
    patterns = {
        pattern
        for source in sources
        for patterns in source.read("levels/yours.yml")["yours"]["default"].values()
        for pattern in patterns
    }
    return set(globs.matching(files, patterns))


def differing(
    render: Mapping[str, Entry], other: Mapping[str, Entry], sources: Iterable[Source]
) -> set[str]:
    """Return the files of Rung's that differ between two renders, without the answers file."""
    paths = {*render, *other}
    yours = of_the_user(paths, sources)
    return {path for path in paths - yours - {ANSWERS} if render.get(path) != other.get(path)}


def _key(source: Source, answers: Mapping[str, Any]) -> str | None:
    commit = source.commit
    if commit is None:
        return None  # a branch of a repository elsewhere may have moved on
    from importlib.metadata import version

    parts = [FORM, version("copier"), source.address, source.ref, commit, sorted(answers.items())]
    parts.append(read_settings())
    digest = hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()
    return f"refs/renders/{digest}"


def _stored(room: Path, store: Path) -> str:
    """Store the files of a render, and return their tree."""
    modes = _collected(room, room)
    _refuse_two_of_one_name(modes)
    return cache.store(store, room, modes)


def _collected(room: Path, folder: Path) -> dict[str, str]:
    """Return git's mode of each rendered file by its path.

    Raises:
        RungError: A path is or leads into a `.git`, or a link leads out of the render.
    """
    modes = {}
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = Path(entry.path).relative_to(room).as_posix()
        _refuse_name(entry.name, path)
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            _refuse_link(room, Path(entry.path), path)
            modes[path] = git.LINK
        elif stat.S_ISDIR(status.st_mode):
            modes |= _collected(room, Path(entry.path))
        elif stat.S_ISREG(status.st_mode):
            modes[path] = "100755" if status.st_mode & 0o100 else "100644"
        else:
            raise RungError(
                f"The template renders `{path}`, which is not a regular file. Do not use this template."
            )
    return modes


def _refuse_name(name: str, path: str) -> None:
    """Refuse a name that a file system takes for `.git`, or that has control characters."""
    letters = "".join(letter for letter in name if letter.isprintable()).casefold()
    if letters.rstrip(" .").split(":")[0] in (".git", "git~1"):
        raise RungError(
            f"The template renders {path!r}, inside git's own folder: that could run programs.\n"
            "Nothing was written. Do not use this template."
        )
    if any(sign in name for sign in "\n\r\0\t\\"):
        raise RungError(
            f"The template renders {path!r}, a name with signs that do not belong into one.\n"
            "Nothing was written. Do not use this template."
        )


def _refuse_two_of_one_name(entries: Iterable[str]) -> None:
    by_folded_name: dict[str, str] = {}
    for path in entries:
        other = by_folded_name.setdefault(path.casefold(), path)
        if other != path:
            raise RungError(
                f"The template renders `{other}` and `{path}`, which are the same file on some systems.\n"
                "Nothing was written. Tell the template's author."
            )


def _refuse_link(room: Path, link: Path, path: str) -> None:
    target = link.readlink()
    reached = os.path.normpath(link.parent / target)
    outside = target.is_absolute() or not Path(reached).is_relative_to(room)
    if outside or ".git" in (part.casefold() for part in Path(target).parts):
        raise RungError(
            f"The template renders the link `{path}` to {target}, outside the project.\n"
            "Nothing was written. Do not use this template."
        )
