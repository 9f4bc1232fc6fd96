"""End a climb that was interrupted: on the old commit, or on the new one if it had got there."""

import contextlib
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rung import git
from rung.climbing import journal, lock
from rung.climbing.journal import Journal
from rung.errors import RungError

PATIENCE = 2.0  # seconds in which some other git may still be using what it has locked
# What the person's own file ignores is nobody's business here.
OWN = {name: value for name, value in git.QUIET.items() if name != "core.excludesFile"}
OURS = (journal.BEFORE, journal.PENDING, journal.CRASH)
THEIRS = ("index", "HEAD", "ORIG_HEAD", "packed-refs")


@dataclass(frozen=True)
class Recovered:
    """How an interrupted climb ended.

    Args:
        top: The work tree.
        stands_on: `before`, `pending`, or `elsewhere` when the person has moved on since.
        snapshot: Whether what was on disk is kept under refs/rung/crash.
    """

    top: str
    stands_on: str
    snapshot: bool


def before_anything(folder: Path) -> Recovered | None:
    """End what was interrupted in the repository that a folder is in, before anything is read of it."""
    top = git.repository_above(folder)
    if top is None or journal.read(top) is None:
        return None
    with lock.held(top):
        return ended(top)


def ended(top: Path) -> Recovered | None:
    """End what is left of a climb; return how, or None when there was nothing to end.

    The caller holds the lock.

    Raises:
        RungError: Git cannot write, because the disk is full for instance; run it again later.
    """
    _unlock(top, OURS, 0.0)
    left = journal.read(top)
    if left is None:
        journal.clear(top)
        return None
    place = Path(left.top)
    if not (place / ".git").exists():  # a work tree that was removed since
        journal.clear(top)
        return Recovered(left.top, "elsewhere", False)
    _unlock(place, THEIRS, PATIENCE)
    head = git.answers(place, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if head != left.before:
        journal.clear(top)
        return Recovered(left.top, "pending" if head == left.pending else "elsewhere", False)
    snapshot = _snapshot(place, left) if _status(place) else None
    _restore(place, left, snapshot)
    journal.clear(top)
    return Recovered(left.top, "before", snapshot is not None)


def _unlock(top: Path, names: Sequence[str], patience: float) -> None:
    """Remove the locks that a killed git left; one that may be in use is waited for, in seconds."""
    branch = git.answers(top, "symbolic-ref", "--quiet", "HEAD")
    for name in [*names, *([branch] if branch and patience else [])]:
        asked = git.run(top, "rev-parse", "--git-path", f"{name}.lock").rstrip("\n")
        file, deadline = top / asked, time.monotonic() + patience
        with contextlib.suppress(FileNotFoundError):
            while time.time() - file.stat().st_mtime < patience and time.monotonic() < deadline:
                time.sleep(0.05)
            file.unlink()


def _status(top: Path) -> str:
    words = ("status", "--porcelain", "-z", "--untracked-files=all", "--no-renames")
    return git.run(top, *words, settings=OWN)


def _snapshot(top: Path, left: Journal) -> str | None:
    """Keep what is on disk under refs/rung/crash, before anything is restored; return the commit.

    A second snapshot of the same climb has the first as a parent, so that none is lost. Where
    there is no room for one, it is left out only if nothing on disk is anybody's but the climb's.
    """
    earlier = git.answers(top, "rev-parse", "--verify", "--quiet", journal.CRASH)
    with tempfile.TemporaryDirectory(prefix="rung-") as scratch:
        extra = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
        try:
            git.run(top, "read-tree", left.before, extra=extra)
            git.run(top, "add", "--all", "--", ".", settings=OWN, extra=extra)
            tree = git.run(top, "write-tree", extra=extra).strip()
            parents = [left.before, *([earlier] if earlier else [])]
            options = [word for parent in parents for word in ("-p", parent)]
            words = f"What an interrupted climb left on disk\n\nIt led to {left.pending}.\n"
            arguments = ("commit-tree", tree, *options)
            settings = git.QUIET | git.NOBODY
            commit = git.run(top, *arguments, settings=settings, stdin=words).strip()
            git.run(top, "update-ref", journal.CRASH, commit)
        except RungError:
            changed = [entry[3:] for entry in _status(top).split("\0") if entry]
            if not all(_is_ours(top, left, path) for path in changed):
                raise
            return None
    return commit


def _restore(top: Path, left: Journal, snapshot: str | None) -> None:
    """Bring the work tree back to the old commit: first the new files go, which makes room."""
    pair = ("--diff-filter=A", left.before, left.pending)
    names = git.run(top, "diff-tree", "-r", "-z", "--name-only", "--no-renames", *pair)
    for path in filter(None, names.split("\0")):
        file = top / path
        if not file.is_file() and not file.is_symlink():
            continue
        kept = snapshot and git.answers(top, "rev-parse", "--verify", "-q", f"{snapshot}:{path}")
        if kept or _is_ours(top, left, path):
            file.unlink()
            _forget_empty(file.parent, top)
    git.run(top, "reset", "--quiet", "--hard", left.before)


def _is_ours(top: Path, left: Journal, path: str) -> bool:
    """Say whether a file is not there, or is a version of the climb's, or the beginning of one."""
    file = top / path
    if not os.path.lexists(file):
        return True
    if not file.is_symlink() and not file.is_file():
        return False
    on_disk = str(file.readlink()).encode() if file.is_symlink() else file.read_bytes()
    for commit in (left.pending, left.before):
        text = (
            git.run(top, "cat-file", "blob", f"{commit}:{path}") if _has(top, commit, path) else ""
        )
        version = text.encode("utf-8", "surrogateescape").replace(b"\r\n", b"\n")
        if text and version.startswith(on_disk.replace(b"\r\n", b"\n").rstrip(b"\r")):
            return True
    return not on_disk


def _has(top: Path, commit: str, path: str) -> bool:
    return bool(git.answers(top, "rev-parse", "--verify", "--quiet", f"{commit}:{path}"))


def _forget_empty(folder: Path, top: Path) -> None:
    while folder != top:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent
