"""The preconditions of a climb: everything that could be lost is in a commit (decision 19, consequence)."""

import os
import re
import shlex
from collections.abc import Container, Iterable, Mapping
from pathlib import Path, PurePosixPath

from rung.core import transaction
from rung.core.merging.conflict import NO_FILES_CHANGED
from rung.errors import RungError
from rung.levels.template_answers import ANSWERS
from rung.system import git
from rung.system.printable import printable, some

MARKERS = tuple(re.compile(b"^" + mark + b" ", re.MULTILINE) for mark in (b"<<<<<<<", b">>>>>>>"))
SHOWN = 10  # paths in a message; the rest is counted
# Git's own marks of an unfinished command, with that command.
HALF_DONE = {
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
}


def refuse_missing_package(folder: Path, package: str) -> None:
    """Raise a RungError unless the package that the answers name exists."""
    if not package.isidentifier() or not (folder / "src" / package).is_dir():
        raise RungError(
            f"The package is `{printable(package)}` by the answers, and "
            f"{printable(str(folder / 'src' / package))} is not there.\n"
            f"Move your package there with `git mv`, or restore {ANSWERS} from git."
        )


def root(folder: Path, verb: str) -> Path:
    """Return the repository's root; raise a RungError if there is none, and nothing could be undone."""
    top = git.root(folder)
    if top is None:
        raise RungError(
            f"{folder} is not in a git repository, so nothing could be undone.\n"
            f"Run `git init`, commit everything, then {verb}."
        )
    return top


def committed_root(folder: Path) -> Path:
    """Return the repository's root; raise a RungError unless everything in it is committed."""
    top = root(folder, "climb")
    paths = [word for name in HALF_DONE for word in ("--git-path", name)]
    markers = git.run(top, "rev-parse", *paths).splitlines()
    for marker, command in zip(markers, HALF_DONE.values(), strict=True):
        if (top / marker).exists():
            raise RungError(
                f"A {command} is under way in {top}.\n"
                f"End it with `git {command} --continue` or `--abort`, then climb."
            )
    if changed := _users_uncommitted(top):
        raise RungError(
            f"{top} has changes that are not committed, for example `{changed[0].strip()}`.\n"
            "Commit or stash them, so that what changes can be seen, and undone, on its own."
        )
    _refuse_overlooked(top)
    return top


def committed_head(folder: Path) -> tuple[Path, str]:
    """Return the repository's root and last commit, as `committed_root` does."""
    top = committed_root(folder)
    head = transaction.head(top)
    if head is None:
        raise RungError(f"{top} has no commit yet. Commit everything, then run the command again.")
    return top, head


def _users_uncommitted(top: Path) -> list[str]:
    """Return what is not in a commit. Changes that a running climb is writing do not count."""
    changed = transaction.uncommitted(top)
    if changed and transaction.lock_file(top).exists():
        with transaction.locked(top):
            changed = transaction.uncommitted(top)
    return changed


def _refuse_overlooked(top: Path) -> None:
    """Raise a RungError if git was told to ignore changes in some files."""
    lines = git.run(top, "ls-files", "-v", "-z").split("\0")
    skipped = [line[2:] for line in lines if line[:1] in ("s", "S")]
    assumed = [line[2:] for line in lines if line[:1].islower()]
    if not (overlooked := list(dict.fromkeys(skipped + assumed))):
        return
    commands = []
    if skipped and git.output(top, "config", "--type=bool", "core.sparseCheckout") == "true":
        commands, skipped = ["git sparse-checkout disable"], []
    # Git clears one of the two at a time.
    for option, paths in (("--no-skip-worktree", skipped), ("--no-assume-unchanged", assumed)):
        if paths:
            more = f"   # and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
            named = printable(shlex.join(paths[:SHOWN]))
            commands.append(f"git update-index {option} -- {named}{more}")
    raise RungError(
        f"git is set to overlook changes in {some(overlooked, SHOWN)}, so "
        "a climb could lose them.\nRun these commands, commit what git then shows, and climb."
        + "".join(f"\n  {command}" for command in commands)
    )


def refuse_obstructed(
    folder: Path, paths: Iterable[str], edited: Mapping[str, bytes], kept: Container[str]
) -> None:
    """Raise a RungError if a climb would write through a link, or conflicts are left.

    A link that git tracks is merged like any file of the user's, so nothing is written through it.
    """
    paths = sorted(paths)
    above = {str(up) for path in paths for up in PurePosixPath(path).parents if up.name}
    links = [path for path in sorted(above) if (folder / path).is_symlink() and path not in kept]
    if links:
        raise RungError(
            f"Links that git does not keep are where Rung's folders go, and a climb would write "
            f"through them: {some(links, SHOWN)}.\nPut folders in their place, or commit the links."
        )
    rejected = [f"{path}.rej" for path in paths if (folder / f"{path}.rej").exists()]
    marked = [path for path, text in edited.items() if all(m.search(text) for m in MARKERS)]
    if rejected or marked:
        raise RungError(
            f"An earlier climb or merge left conflicts in {some([*rejected, *sorted(marked)], SHOWN)}.\n"
            "Resolve them, remove the markers and the .rej files, and commit, then climb."
        )


def refuse_case_twins(new: Iterable[str], kept: Iterable[str]) -> None:
    """Raise a RungError if the name of a new file or folder differs from another's only in case.

    On the file systems of macOS and Windows both are the same file.
    """
    yours: dict[str, set[str]] = {}
    for name in _with_folders(kept):
        yours.setdefault(name.casefold(), set()).add(name)
    twins = {
        name: min(yours[name.casefold()])
        for name in sorted(_with_folders(new))
        if name.casefold() in yours and name not in yours[name.casefold()]
    }
    # The topmost alone: what is below follows it.
    pairs = [(old, name) for name, old in twins.items() if name.rpartition("/")[0] not in twins]
    if pairs:
        commands = "".join(
            f"\n  {printable(shlex.join(['git', 'mv', old, new]))}" for old, new in pairs
        )
        raise RungError(
            f"{NO_FILES_CHANGED} {some([old for old, _ in pairs], SHOWN)} and Rung's name there "
            "differ only in upper and lower case, which macOS and Windows treat as one file.\n"
            f"Give yours another name, or Rung's, commit, then climb:{commands}"
        )


def _with_folders(paths: Iterable[str]) -> set[str]:
    return {
        str(name)
        for path in paths
        for name in (path, *PurePosixPath(path).parents)
        if str(name) != "."
    }


def obstructing(folder: Path, new: Iterable[str]) -> list[str]:
    """Return the new files at whose path git does not track what is there; refuse folders there."""
    paths = []
    for path in sorted(new):
        file = folder / path
        above = [up for up in PurePosixPath(path).parents if os.path.lexists(folder / up)]
        if file.is_dir() and not file.is_symlink():
            if any(entry.is_file() or entry.is_symlink() for entry in file.rglob("*")):
                raise _untracked("folder", path, "file")
        elif os.path.lexists(file):
            paths.append(path)
        elif above and not (folder / above[0]).is_dir():
            raise _untracked("file", str(above[0]), "folder")
    return paths


def _untracked(kind: str, path: str, wanted: str) -> RungError:
    return RungError(
        f"The {kind} `{printable(path)}`, which git does not track, is where a {wanted} of Rung's "
        "goes.\nMove it away, then climb."
    )
