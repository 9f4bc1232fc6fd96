"""Renders of the template as git trees, made once and kept in Rung's cache.

They are kept under a hash of what they depend on: the template's commit and address, the answers, and
the user's settings of Copier.
"""

import contextlib
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rung.core import cache
from rung.core.rendering import answers_file, copier_settings
from rung.core.rendering.render import render
from rung.core.rendering.workbench import Files, Workbench
from rung.core.template_source import Source
from rung.errors import RungError
from rung.levels.template_answers import ANSWERS
from rung.system import git, globs, process

FORM = 1  # increased when the content of cached renders changes


def rendered(bench: Workbench, source: Source, answers: Mapping[str, Any]) -> str:
    """Return the tree that the template renders for these answers, all files included."""
    store = bench.renders
    key = _key(source, answers)
    if key:
        tree_id = git.revision(store, key, git.named(store))
        if tree_id and _is_complete(bench, tree_id):
            return tree_id
    with tempfile.TemporaryDirectory(prefix="rung-") as scratch:
        room = Path(scratch) / "project"
        render(source, room, answers, defaults=True)
        tree = _stored(room, store)
        keys = {key, _recorded_key(source, room)} if key else set()
    process.raise_lost_stop()
    if not _is_complete(
        bench, tree
    ):  # git does not rewrite a damaged object that has the right name
        raise RungError(
            f"The cache of renders {store} is damaged, and cannot repair itself.\n"
            "Delete that folder (all in it can be made again), then run the same command again."
        )
    for name in filter(None, keys):
        cache.run(store, "update-ref", name, tree)
    return tree


def keep(source: Source, answers: Mapping[str, Any], room: Path) -> None:
    """Keep the files that Copier wrote for a new project as a render, to spare its first climb one."""
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


def differing(render: Files, other: Files, sources: Iterable[Source]) -> set[str]:
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
    parts.append(copier_settings.read())
    digest = hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()
    return f"refs/renders/{digest}"


def _recorded_key(source: Source, room: Path) -> str | None:
    """Return the key under which the next climb looks for a render, as it has recorded itself."""
    try:
        recorded = answers_file.read(room)
    except RungError:  # a template that records no answers
        return None
    version = replace(source, ref=str(recorded.get("_commit")))
    return _key(version, answers_file.answers(recorded))


def _stored(room: Path, store: Path) -> str:
    modes = _collected(room, room)
    _refuse_two_of_one_name(modes)
    return cache.store(store, room, modes)


def _collected(room: Path, folder: Path) -> dict[str, str]:
    """Return git's mode of each rendered file by its path; refuse paths and links that lead out."""
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
            raise _unsafe(f"`{path}`, which is not a regular file")
    return modes


def _unsafe(what: str) -> RungError:
    return RungError(
        f"The template renders {what}.\nNothing was written. Do not use this template."
    )


def _refuse_name(name: str, path: str) -> None:
    """Refuse a name that a file system takes for `.git`, or that has control characters."""
    letters = "".join(letter for letter in name if letter.isprintable()).casefold()
    if letters.rstrip(" .").split(":")[0] in (".git", "git~1"):
        raise _unsafe(f"{path!r}, inside git's own folder: that could run programs")
    if any(sign in name for sign in "\n\r\0\t\\"):
        raise _unsafe(f"{path!r}, a name with characters that no name may have")


def _refuse_link(room: Path, link: Path, path: str) -> None:
    target = link.readlink()
    reached = os.path.normpath(link.parent / target)
    outside = target.is_absolute() or not Path(reached).is_relative_to(room)
    if outside or ".git" in (part.casefold() for part in Path(target).parts):
        raise _unsafe(f"the link `{path}` to {target}, outside the project")


def _refuse_two_of_one_name(entries: Iterable[str]) -> None:
    by_folded_name: dict[str, str] = {}
    for path in entries:
        other = by_folded_name.setdefault(path.casefold(), path)
        if other != path:
            raise RungError(
                f"The template renders `{other}` and `{path}`, which are the same file on some systems.\n"
                "Nothing was written. Tell the template's author."
            )
