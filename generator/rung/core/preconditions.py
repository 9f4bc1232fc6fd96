"""The preconditions of a climb: everything that could be lost is in a commit (decision 19)."""

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
from rung.system.printable import printable

MARKERS = tuple(re.compile(b"^" + mark + b" ", re.MULTILINE) for mark in (b"<<<<<<<", b">>>>>>>"))
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


def committed_root(folder: Path) -> Path:
    """Return the repository's root; raise a RungError unless everything in it is committed."""
    top = git.root(folder)
    if top is None:
        raise RungError(
            f"{folder} is not in a git repository, so a climb could not be undone.\n"
            "Run `git init`, commit everything, then climb."
        )
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
    if not skipped and not assumed:
        return
    commands = []
    if skipped and git.output(top, "config", "--type=bool", "core.sparseCheckout") == "true":
        commands.append("git sparse-checkout disable")
    elif skipped:
        commands.append(f"git update-index --no-skip-worktree -- {_few(skipped)}")
    if assumed:  # git clears one of the two at a time
        commands.append(f"git update-index --no-assume-unchanged -- {_few(assumed)}")
    raise RungError(
        f"git was told to overlook changes in {_some(list(dict.fromkeys(skipped + assumed)))}, so "
        "a climb could lose them.\nRun what follows, commit what git then shows, and climb."
        + "".join(f"\n  {command}" for command in commands)
    )


def _few(paths: list[str]) -> str:
    more = f"   # and {len(paths) - 10} more" if len(paths) > 10 else ""
    return printable(shlex.join(paths[:10])) + more


def refuse_obstructed(
    folder: Path, paths: Iterable[str], edited: Mapping[str, bytes], kept: Container[str]
) -> None:
    """Raise a RungError if a climb would write through a link, or conflicts are left.

    A link that git tracks is merged like any file of the user's, so nothing is written through it.

    Args:
        folder: The project.
        paths: The files of Rung's that a climb may write or remove, relative to the folder.
        edited: The content of those that the user has edited.
        kept: The files of the project that git tracks.
    """
    paths = sorted(paths)
    above = {str(up) for path in paths for up in PurePosixPath(path).parents if up.name}
    links = [path for path in sorted(above) if (folder / path).is_symlink() and path not in kept]
    if links:
        raise RungError(
            f"Links that git does not keep stand where Rung's folders go, and a climb would write "
            f"through them: {_some(links)}.\nPut folders in their place, or commit the links."
        )
    rejected = [f"{path}.rej" for path in paths if (folder / f"{path}.rej").exists()]
    marked = [path for path, text in edited.items() if all(m.search(text) for m in MARKERS)]
    if rejected or marked:
        raise RungError(
            f"An earlier climb or merge left conflicts in {_some([*rejected, *sorted(marked)])}.\n"
            "Decide them, remove the markers and the .rej files, and commit, then climb."
        )


def refuse_case_twins(new: Iterable[str], kept: Iterable[str]) -> None:
    """Raise a RungError if the name of a new file or folder differs from another's only in case.

    On the file systems of macOS and Windows both are the same file.

    Args:
        new: The files that the climb adds.
        kept: The files of the project that stay.
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
            f"{NO_FILES_CHANGED} {_some([old for old, _ in pairs])} and Rung's name there "
            "differ only in upper and lower case, which macOS and Windows take for one file.\n"
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
    """Return the new files at whose path there is something that git does not track.

    Raises:
        RungError: A folder is in the place of a file, or a file in the place of a folder.
    """
    paths = []
    for path in sorted(new):
        file = folder / path
        if file.is_dir() and not file.is_symlink():
            if _is_empty(file):
                continue
            raise RungError(
                f"The folder `{printable(path)}`, which git does not track, is where a file of Rung's "
                "goes.\nMove it away, then climb."
            )
        if os.path.lexists(file):
            paths.append(path)
            continue
        above = [up for up in PurePosixPath(path).parents if up.name]
        for up in above:
            if os.path.lexists(folder / up) and not (folder / up).is_dir():
                raise RungError(
                    f"The file `{printable(str(up))}`, which git does not track, is where a folder of Rung's "
                    "goes.\nMove it away, then climb."
                )
    return paths


def _is_empty(folder: Path) -> bool:
    return not any(entry.is_file() or entry.is_symlink() for entry in folder.rglob("*"))


def _some(paths: list[str]) -> str:
    more = len(paths) - 10
    return ", ".join(f"`{printable(path)}`" for path in paths[:10]) + (
        f" and {more} more" if more > 0 else ""
    )
