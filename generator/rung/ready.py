"""What must hold before Copier may touch a project: what it could lose must be in a commit."""

import os
import shlex
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from rung import git, plain_yaml, project
from rung.errors import RungError

# What git keeps in its folder while something is half-done, by the command that ends it.
HALF_DONE = {
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
}


def recorded(folder: Path) -> dict[str, Any]:
    """Return what the project's answers file says, once a climb can stand on it."""
    file = folder / project.ANSWERS
    try:
        said = plain_yaml.load(file.read_text("utf-8"))
    except FileNotFoundError as error:
        raise RungError(
            f"{folder} is no project of Rung: {project.ANSWERS} is not there.\n"
            "Give the path of a project made by `rung new`."
        ) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RungError(f"{file} cannot be read: {error}.\nRestore it from git.") from error
    if not isinstance(said, dict):
        raise RungError(f"{file} holds no answers. Restore it from git.")
    for entry, kind in (("_src_path", str), ("_commit", str), ("level", int), ("package", str)):
        if not isinstance(said.get(entry), kind):
            raise RungError(f"{file} has no `{entry}`. Restore the file from git.")
    if not (folder / "src" / said["package"]).is_dir():
        raise RungError(
            f"{file} names the package `{said['package']}`, and src/{said['package']} is not "
            "there.\nMove your package there with `git mv`, or restore the file from git."
        )
    return said


def committed(folder: Path) -> Path:
    """Return the repository's root, once everything in it is known to be in a commit."""
    top = git.repository_above(folder)
    if top is None:
        raise RungError(
            f"{folder} is not in a git repository, so a climb could not be undone.\n"
            "Run `git init`, commit everything, then climb."
        )
    for name, command in HALF_DONE.items():
        if (top / git.run(top, "rev-parse", "--git-path", name).strip()).exists():
            raise RungError(
                f"A {command} is under way in {top}.\n"
                f"End it with `git {command} --continue` or `--abort`, then climb."
            )
    status = ("status", "--porcelain", "--untracked-files=normal")
    changed = git.run(top, *status).splitlines()
    own = {name: value for name, value in git.QUIET.items() if name != "core.excludesFile"}
    if changed and not git.run(top, *status, settings=own):
        raise RungError(
            f"Only your own ignore file hides `{changed[0][3:]}` from git, and Copier does not "
            "read that.\nAdd it to the project's .gitignore or to .git/info/exclude, then climb."
        )
    if changed:
        raise RungError(
            f"{top} has changes that are not committed, `{changed[0].strip()}` for one.\n"
            "Commit or stash them, so that the climb can be seen, and undone, on its own."
        )
    lines = git.run(top, "ls-files", "-v", "-z").split("\0")
    overlooked = [line[2:] for line in lines if line[:1] in ("h", "s", "S")]
    if overlooked:
        raise RungError(
            f"git was told to overlook changes in {_some(overlooked)}, so a climb could lose them."
            "\nRun `git update-index --no-assume-unchanged --no-skip-worktree "
            f"{shlex.join(overlooked)}`, commit what it then shows, and climb."
        )
    return top


def unobstructed(folder: Path, paths: Iterable[str]) -> None:
    """Raise a RungError if something stands where Rung's files go that git could not bring back.

    Args:
        folder: The project.
        paths: The files of Rung's that a climb may write or remove, relative to the folder.
    """
    paths = sorted(paths)
    above = {str(up) for path in paths for up in PurePosixPath(path).parents if up.name}
    links = [path for path in sorted({*paths, *above}) if (folder / path).is_symlink()]
    if links:
        raise RungError(
            f"Links stand where Rung's files go, and a climb would write through them: "
            f"{_some(links)}.\nPut files and folders of the project in their place, and commit."
        )
    tracked = set(git.run(folder, "ls-files", "-z").split("\0"))
    standing = [path for path in paths if os.path.lexists(folder / path)]
    standing += [path for path in sorted(above) if (folder / path).is_file()]
    unkept = [path for path in standing if path not in tracked]
    if unkept:
        raise RungError(
            "Git does not keep these files, perhaps because it ignores them, and Rung's own files "
            f"of the same names would replace them: {_some(unkept)}.\n"
            f"Move them away, or keep them with `git add --force {shlex.join(unkept)}` and a "
            "commit, then climb."
        )
    rejected = [f"{path}.rej" for path in paths if (folder / f"{path}.rej").exists()]
    marked = _marked(folder).intersection(paths)
    if rejected or marked:
        raise RungError(
            f"An earlier climb or merge left conflicts in {_some([*rejected, *sorted(marked)])}.\n"
            "Decide them, remove the markers and the .rej files, and commit, then climb."
        )


def _marked(folder: Path) -> set[str]:
    """Return the tracked files that hold both marks of a conflict."""
    marks = [word for mark in ("<<<<<<<", ">>>>>>>") for word in ("-e", f"^{mark} ")]
    found = git.answers(folder, "grep", "--files-with-matches", "-z", "-I", "--all-match", *marks)
    return set((found or "").split("\0"))


def _some(paths: list[str]) -> str:
    more = len(paths) - 10
    return ", ".join(f"`{path}`" for path in paths[:10]) + (f" and {more} more" if more > 0 else "")
