"""End a climb that was interrupted: on the old commit, or on the new one if it had got there."""

import contextlib
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rung.core.rendering.workbench import SUBMODULE
from rung.core.transaction import journal, locks, undo
from rung.core.transaction.journal import Journal
from rung.errors import RungError
from rung.system import git


@dataclass(frozen=True)
class Recovered:
    """How an interrupted climb ended.

    Args:
        top: The work tree.
        stands_on: `before`, `pending`, or `elsewhere` when the person has moved on since.
        snapshot: Whether what was on disk is kept under refs/rung/crash.
        yours: Files of the climb's that the person has changed since; they were left alone.
    """

    top: str
    stands_on: str
    snapshot: bool
    yours: tuple[str, ...] = ()

    def message(self) -> str:
        """Say how the interrupted climb ended."""
        where = {
            "before": f"{self.top} is as it was before.",
            "pending": f"{self.top} is on its new commit.",
            "elsewhere": f"{self.top} has moved on since, and was left alone.",
        }[self.stands_on]
        return f"An interrupted climb was ended: {where}{self.details()}"

    def details(self) -> str:
        """Say on further lines what is left of the climb; empty if nothing is."""
        disk = (
            "\nWhat was on disk is kept: `git show --stat refs/rung/crash`."
            if self.snapshot
            else ""
        )
        names = ", ".join(f"`{path}`" for path in self.yours)
        return disk + (f"\nYou changed these, and they were left alone: {names}." if names else "")


def first(folder: Path) -> Recovered | None:
    """End an interrupted climb before anything is read, and say so: what follows may be refused."""
    top = git.repository_above(folder)
    if top is None or journal.read(top) is None:
        return None
    with locks.acquired(top):
        recovered = ended(top)
    if recovered is not None:
        print(recovered.message(), file=sys.stderr)
    return recovered


def ended(top: Path, *, killed: bool = True) -> Recovered | None:
    """End what is left of a climb; return how, or None when there was nothing to end.

    The caller holds the lock.

    Args:
        top: A work tree of the repository.
        killed: Whether git may have been killed, so that its locks are left.

    Raises:
        RungError: Git cannot write, because the disk is full for instance; run it again later.
    """
    locks.clear_git(top, journal.REFS, 0.0)
    interrupted = journal.read(top)
    if interrupted is None:
        journal.clear(top)
        return None
    work_tree = Path(interrupted.top)
    if not interrupted.there:  # a work tree that was removed since, or is another repository's
        journal.clear(top)
        return Recovered(interrupted.top, "elsewhere", False)
    head = git.answers(work_tree, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if killed and head in (
        interrupted.before,
        interrupted.pending,
    ):  # elsewhere they would be another git's
        locks.clear_git(work_tree)
    if head != interrupted.before:
        journal.clear(top)
        return Recovered(
            interrupted.top, "pending" if head == interrupted.pending else "elsewhere", False
        )
    changed = undo.changes(work_tree, interrupted.before, interrupted.pending)
    written = undo.written(work_tree, changed, interrupted.before, interrupted.pending)
    snapshot = bool(written) and _snapshot(work_tree, interrupted)
    obstructed = undo.take_back(work_tree, written, interrupted.before)
    journal.clear(top)
    return Recovered(
        interrupted.top, "before", snapshot, tuple(sorted([*written.yours, *obstructed]))
    )


def _snapshot(top: Path, interrupted: Journal) -> bool:
    """Keep what is on disk under refs/rung/crash, before anything is rolled back; return whether that worked.

    A second snapshot of the same climb has the first as a parent, so that none is lost. Where
    there is no room for one, it is left out: only the climb's own files are rolled back.
    """
    earlier = git.answers(top, "rev-parse", "--verify", "--quiet", journal.CRASH)
    with tempfile.TemporaryDirectory(prefix="rung-") as scratch:
        index = Path(scratch) / "index"
        extra = {"GIT_INDEX_FILE": str(index)}
        try:
            # From the person's index, which has what they added although git ignores it.
            asked = git.run(top, "rev-parse", "--git-path", "index").rstrip("\n")
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(top / asked, index)
            settings = git.QUIET_AS_IGNORED
            git.run(top, "add", "--all", "--", *_own_files(top), settings=settings, extra=extra)
            tree = git.run(top, "write-tree", extra=extra).strip()
            parents = [interrupted.before, *([earlier] if earlier else [])]
            options = [word for parent in parents for word in ("-p", parent)]
            message = (
                f"What an interrupted climb left on disk\n\nIt led to {interrupted.pending}.\n"
            )
            arguments = ("commit-tree", tree, *options)
            settings = git.QUIET | git.NOBODY
            commit = git.run(top, *arguments, settings=settings, stdin=message).strip()
            git.run(top, "update-ref", journal.CRASH, commit)
        except (RungError, OSError):
            return False
    return True


def _own_files(top: Path) -> list[str]:
    """Return pathspecs for all files but submodules, whose own configuration may name programs."""
    entries = git.run(top, "ls-files", "--stage", "-z").split("\0")
    inner = [line.partition("\t")[2] for line in entries if line.startswith(SUBMODULE)]
    return [".", *(f":(exclude,literal){path}" for path in inner)]
