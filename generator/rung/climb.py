"""Take a project to another rung, with Copier's own update."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from rung import cache, git, plain_yaml, project, template
from rung.errors import NotDoneError, RungError

MARKER = re.compile(rb"^(<<<<<<<|>>>>>>>)( |$)", re.MULTILINE)


@dataclass
class Climbed:
    """What a climb did to the work tree; nothing of it is committed.

    Args:
        before: The rung the project stood on.
        after: The rung it stands on.
        added, changed, removed: Paths relative to the repository's root.
        conflicts: Files in which the project's lines and Rung's are both left, to be decided.
    """

    before: int
    after: int
    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)


def climb(folder: Path, to: int, trusted: str | None = None) -> Climbed:
    """Change a project's level in place, at the template version it already has.

    Args:
        folder: The project.
        to: The rung to stand on.
        trusted: A template to follow besides the one Rung comes with.

    Raises:
        RungError: The project cannot climb; nothing was touched.
        NotDoneError: Copier failed; the work tree is as it was.
    """
    git.require()
    recorded = _recorded(folder)
    top = _clean(folder)
    address, ref = _source(recorded, trusted)
    _offered(to, address, ref)
    before = recorded["level"]
    if before == to:
        return Climbed(before, to)
    try:
        project.update(folder, address, ref, {"level": to})
    except BaseException as error:
        # The tree was clean, so all that differs from HEAD now is Copier's.
        git.run(top, "reset", "--quiet", "--hard")
        git.run(top, "clean", "--quiet", "-d", "--force")
        if isinstance(error, RungError):
            raise NotDoneError(f"{error}\nThe project is as it was.") from error
        raise
    return _done(top, Climbed(before, to))


def _recorded(folder: Path) -> dict[str, Any]:
    """Read what the project's answers file says, and make sure that a climb can stand on it."""
    file = folder / project.ANSWERS
    try:
        recorded = plain_yaml.load(file.read_text("utf-8"))
    except FileNotFoundError as error:
        raise RungError(
            f"{folder} is no project of Rung: {project.ANSWERS} is not there.\n"
            "Give the path of a project made by `rung new`."
        ) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RungError(f"{file} cannot be read: {error}.\nRestore it from git.") from error
    if not isinstance(recorded, dict):
        raise RungError(f"{file} holds no answers. Restore it from git.")
    for entry, kind in (("_src_path", str), ("_commit", str), ("level", int)):
        if not isinstance(recorded.get(entry), kind):
            raise RungError(f"{file} has no `{entry}`. Restore the file from git.")
    return recorded


def _clean(folder: Path) -> Path:
    """Return the repository's root, once everything in it is known to be in a commit."""
    top = git.repository_above(folder)
    if top is None:
        raise RungError(
            f"{folder} is not in a git repository, so a climb could not be undone.\n"
            "Run `git init`, commit everything, then climb."
        )
    changed = git.run(top, "status", "--porcelain", "--untracked-files=normal").splitlines()
    if changed:
        raise RungError(
            f"{top} has changes that are not committed, `{changed[0].strip()}` for one.\n"
            "Commit or stash them, so that the climb can be seen, and undone, on its own."
        )
    hidden = [line for line in git.run(top, "ls-files", "-v").splitlines() if line[0] in "hsS"]
    if hidden:
        raise RungError(
            f"git was told to overlook changes in `{hidden[0][2:]}`, so a climb could lose them.\n"
            f"Run `git update-index --no-assume-unchanged --no-skip-worktree {hidden[0][2:]}`."
        )
    return top


def _source(recorded: Mapping[str, Any], trusted: str | None) -> tuple[str, str]:
    """Return the template's address and version, if it is one that may be followed.

    A project can come from anywhere, and so can the address in it: only Rung's own template is
    read unasked.
    """
    address, ref = recorded["_src_path"], recorded["_commit"]
    ours = {template.url(), str(template.clone() or "")}
    allowed = {one.removesuffix(".git") for one in ours if one}
    if trusted:
        allowed.add(str(Path(trusted).resolve()) if Path(trusted).exists() else trusted)
    if "://" not in address and not address.startswith("git@"):
        if not Path(address).is_absolute():
            raise RungError(
                f"The project names its template by `{address}`, a relative path.\n"
                f"Write an absolute path or a URL for `_src_path` in {project.ANSWERS}, and commit."
            )
        if not (Path(address) / ".git").exists():
            raise RungError(
                f"The project's template {address} is not there any more.\n"
                f"Write where it is now for `_src_path` in {project.ANSWERS}, and commit."
            )
    if address.removesuffix(".git") not in {one.removesuffix(".git") for one in allowed}:
        raise RungError(
            f"The project names a template that is not the one of this Rung: {address}\n"
            f"If you trust it, run the command again with `--template {address}`."
        )
    if cache.is_ours(address) and ref == template.tag() and template.clone() is None:
        cache.fill(template.folder(), ref)
    return address, ref


def _offered(level: int, address: str, ref: str) -> None:
    """Raise a RungError unless the project's template has this rung."""
    repository = cache.repository() if cache.serves(address, ref) else Path(address)
    offered = []
    for number in range(5):
        text = (
            git.show(repository, ref, f"levels/{number}.yml")
            if repository.is_dir()
            else (template.folder() / f"levels/{number}.yml").read_text("utf-8")
        )
        if text and plain_yaml.load(text)[f"rung_{number}"]["default"].get("offered"):
            offered.append(number)
    if level not in offered:
        names = ", ".join(map(str, offered)) or "none"
        raise RungError(f"There is no rung {level} at template version {ref}. It has: {names}.")


def _done(top: Path, climbed: Climbed) -> Climbed:
    """Sort what git says has changed."""
    status = git.run(top, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all")
    for entry in filter(None, status.split("\0")):
        state, path = entry[:2], entry[3:]
        if not (top / path).exists():
            climbed.removed.append(path)
        elif state == "??" or state[0] == "A":
            climbed.added.append(path)
        else:
            climbed.changed.append(path)
        if "U" in state or state in ("AA", "DD") or path.endswith(".rej") or _marked(top / path):
            climbed.conflicts.append(path)
    return climbed


def _marked(file: Path) -> bool:
    return file.is_file() and bool(MARKER.search(file.read_bytes()))
