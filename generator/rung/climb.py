"""Take a project to another rung, with Copier's own update."""

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rung import cache, git, project, ready, template
from rung.errors import NotDoneError, RungError
from rung.source import Source
from rung.staging import stopped_like_ctrl_c

RUNGS = range(5)
MARKER = re.compile(rb"^(<<<<<<<|>>>>>>>)( |$)", re.MULTILINE)


@dataclass
class Climbed:
    """What a climb did to the work tree; nothing of it is committed.

    Args:
        before: The rung the project stood on.
        after: The rung it stands on.
        added, changed, removed: Paths relative to the repository's root.
        conflicts: Files in which the project's lines and Rung's are both left, to be decided.
        ignored: Those of the added that git ignores.
    """

    before: int
    after: int
    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)


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
    if to not in RUNGS:
        raise RungError(f"There is no rung {to}. Choose one from {RUNGS[0]} to {RUNGS[-1]}.")
    recorded = ready.recorded(folder)
    top = ready.committed(folder)
    source = _source(recorded, trusted)
    before = recorded["level"]
    if before == to:
        return Climbed(before, to)
    paths = _paths(source, recorded, max(before, to))
    ready.unobstructed(folder, paths)
    absent = [folder.absolute() / path for path in paths if not os.path.lexists(folder / path)]
    try:
        with stopped_like_ctrl_c():
            project.update(folder, source.address, source.ref, {"level": to})
    except BaseException as error:
        _put_back(top, absent)
        if isinstance(error, RungError):
            raise NotDoneError(f"{error}\nThe project is as it was.") from error
        raise
    return _done(top, Climbed(before, to), absent)


def _source(recorded: Mapping[str, Any], trusted: str | None) -> Source:
    """Return the template at the project's version, if it is one that may be followed.

    A project can come from anywhere, and so can the address in it: only Rung's own template is
    read unasked.
    """
    address, ref = recorded["_src_path"], recorded["_commit"]
    allowed = {template.url()}
    if clone := template.clone():
        allowed.add(str(clone))
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
    repository = cache.repository() if cache.serves(address, ref) else Path(address)
    return Source(address, ref, repository if repository.is_dir() else None)


def _paths(source: Source, recorded: Mapping[str, Any], level: int) -> list[str]:
    """Return the files that a climb may write or remove: those of the higher rung, save yours.

    A rung has every file of the rungs below it.
    """
    answers = {name: value for name, value in recorded.items() if not name.startswith("_")}
    yours = source.read("levels/yours.yml")["yours"]["default"]
    with tempfile.TemporaryDirectory(prefix="rung-") as scratch:
        room = Path(scratch) / "project"
        given = answers | {"level": level}
        project.render(source.address, source.ref, room, given, defaults=True)
        kept = {path for globs in yours.values() for glob in globs for path in room.glob(glob)}
        return sorted(
            path.relative_to(room).as_posix()
            for path in room.rglob("*")
            if path.is_file() and path not in kept
        )


def _put_back(top: Path, absent: Sequence[Path]) -> None:
    """Undo what Copier did: all that differs from HEAD, and what git ignores of the new files."""
    git.run(top, "reset", "--quiet", "--hard")
    git.run(top, "clean", "--quiet", "-d", "--force")
    for file in absent:
        file.unlink(missing_ok=True)


def _done(top: Path, climbed: Climbed, absent: Sequence[Path]) -> Climbed:
    """Sort what git says has changed, and what it does not say because it ignores it."""
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
    came = [file.relative_to(top).as_posix() for file in absent if file.exists()]
    climbed.ignored = [path for path in came if path not in climbed.added]
    climbed.added = sorted(climbed.added + climbed.ignored)
    return climbed


def _marked(file: Path) -> bool:
    return file.is_file() and bool(MARKER.search(file.read_bytes()))
