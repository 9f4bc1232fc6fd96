"""Apply a commit to branch, index and work tree at once: old or new, never a mix (decision 19, crashes).

The new commit is stored under a ref, then git fast-forwards to it, then the ref is deleted. If Rung
or git is killed in between, the next command finds the ref. Where HEAD has not moved yet, it removes
what git had written, file by file: a file that is missing, or that holds the new content or the
beginning of it, was the climb's. Any other content is the work of a user who went on, and stays.
"""

import contextlib
import errno
import os
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from rung.core.rendering.workbench import Workbench
from rung.errors import RungError
from rung.system import git, lock, process, shortage
from rung.system.printable import printable, printable_lines

# Refs below refs/worktree belong to one work tree. So a command recovers only its own work tree, and
# a copied or hostile repository cannot lead it to another folder.
PENDING = "refs/worktree/rung/pending"
CRASH = "refs/rung/crash"  # what was on disk before a recovery
WAIT = 1.0  # seconds for which another climb is waited for; a git whose Rung was killed ends in that time
PATIENCE = 2.0  # seconds for which a lock of git's may be in use
# What a fast-forward locks; the state of a merge, which it clears, is a ref as well.
LOCKED = ("index", "HEAD", "ORIG_HEAD", "AUTO_MERGE", "packed-refs")
# Against settings of the user's that would stop a fast-forward, or do more than it. Files that the
# user's own excludes file ignores are not overwritten either.
SETTINGS = git.QUIET_AS_IGNORED | {
    "advice.diverging": "false",
    "core.ignoreStat": "false",  # it would set assume-unchanged bits
    "core.sparseCheckout": "false",  # it would leave new files out
    "submodule.recurse": "false",
}
FORWARD = [
    "merge",
    "--ff-only",
    "--quiet",
    "--commit",
    "--no-autostash",
    "--no-overwrite-ignore",
    "--no-signoff",
    "--no-squash",
    "--no-stat",
    "--no-verify-signatures",
]
NOTHING = "000000"  # git's mode of a file that is not there
UNDO = "git reset --keep HEAD~1"  # undoes the last commit, and keeps edits
ON_NO_BRANCH = "HEAD is detached, so a commit is on no branch: `git switch -c NAME` makes one."
MEND = "Change what the message above names, then run the command again."

Blob = tuple[str, str]  # mode and id of a file's content, as git prints them
Changes = dict[str, tuple[Blob, Blob]]  # before and after, by path


def apply(bench: Workbench, before: str, tree: str, message: str) -> str:
    """Commit a tree on top of HEAD, and apply it to branch, index and work tree at once.

    Returns the id of the new commit, or raises a RungError: nothing was touched, or what git had written
    is removed again.
    """
    top, commit = bench.top, bench.commit(tree, [before], message)
    with locked(top) as descriptor:
        refuse_interrupted(top)
        _refuse_what_changed(top, before)
        process.raise_lost_stop()
        try:
            bench.keep(before, commit)
            _begin(top, commit)
        except (RungError, OSError) as error:
            raise RungError(
                f"The climb could not be prepared in {top}: {error}\n"
                "Nothing was touched. Make room, or make it writable, then try again."
            ) from error
        try:
            failed = _forward(top, commit, descriptor) or _unfinished(top, before, commit)
        except BaseException:
            recovered = _recover_after(top, "The climb was stopped.")
            if recovered is not None and (recovered.state != "before" or recovered.details()):
                print(recovered.message(), file=sys.stderr)
            raise
        if failed:
            _report(failed, _recover_after(top, failed))
        else:
            _end(top)
    return commit


def _begin(top: Path, commit: str) -> None:
    """Store a commit as the one that HEAD is about to be moved to."""
    lines = "".join(f"update {ref} {commit}\n" for ref in _pending_refs(top))
    git.run(top, "update-ref", "--stdin", stdin=lines)


def _end(top: Path) -> None:
    lines = "".join(f"delete {ref}\n" for ref in _pending_refs(top))
    git.run(top, "update-ref", "--stdin", stdin=lines)


def _pending_refs(top: Path) -> list[str]:
    """Return the refs that hold the pending commit, of which the first counts.

    `git gc` in one work tree does not know the refs of a linked one, so there a second ref, which
    all of them share, keeps the commit.
    """
    own = (top / git.run(top, "rev-parse", "--git-dir").rstrip("\n")).resolve()
    linked = (own / "commondir").exists()
    return [PENDING, f"refs/rung/pending/{own.name}"] if linked else [PENDING]


@contextlib.contextmanager
def locked(top: Path, wait: float = WAIT) -> Iterator[int]:
    """Keep other climbs out of a repository; yield the descriptor of the lock."""
    file = lock_file(top)
    with contextlib.ExitStack() as stack:
        try:
            descriptor = stack.enter_context(lock.held(file, wait=wait))
        except OSError as error:
            problem = f"{file} cannot be written: {error.strerror}. Nothing was touched."
            if isinstance(error, BlockingIOError):
                problem = (
                    f"Another climb is under way in {top}. Nothing was touched.\n"
                    "Wait until it ends, then run the command again."
                )
            elif error.errno == errno.ENOTSUP:
                problem = (
                    "This system lacks the file locks that keep a climb from being undone by "
                    "another one.\nRun the command on Linux or macOS, or on Windows in its "
                    "Subsystem for Linux (WSL)."
                )
            raise RungError(problem) from error
        yield descriptor


def lock_file(top: Path) -> Path:
    """Return the file that a climb locks, in the git folder that all work trees share."""
    shared = git.run(top, "rev-parse", "--git-common-dir").rstrip("\n")
    return (top / shared).resolve() / "rung.lock"


def refuse_interrupted(top: Path) -> None:
    """Raise a RungError if a climb was interrupted since the plan; the caller holds the lock."""
    if recovered := recover(top):
        raise RungError(
            f"{recovered.message()}\n"
            "The plan is from before that. Nothing was done. Run the command again."
        )


def _refuse_what_changed(top: Path, before: str) -> None:
    """Raise a RungError if the user changed something while the project's checks ran."""
    if head(top) != before:
        raise RungError(
            f"The last commit of {top} has changed since this was planned.\n"
            "Nothing was touched. Run the command again."
        )
    if changed := uncommitted(top, only_look=True):
        raise RungError(
            f"{top} was changed in the meantime, for example `{changed[0].strip()}`.\n"
            "Nothing was touched. Commit or stash your changes, then run the command again."
        )
    # Wait for git's locks to go: one that exists after the climb has begun is then the climb's own.
    for file in _git_locks(top):
        deadline = time.monotonic() + PATIENCE
        while file.exists():
            if time.monotonic() > deadline:
                raise RungError(
                    f"Another git process runs in {top}, or was killed there: {file} exists.\n"
                    "Nothing was touched. Wait until it ends; if none runs, delete that file. "
                    "Then run the command again."
                )
            time.sleep(0.02)


def uncommitted(top: Path, *, only_look: bool = False) -> list[str]:
    """Return the lines of `git status`; with `only_look` git writes no index, which needs disk space."""
    # Files that the user's own excludes file ignores are no changes. Of a submodule only its commit
    # counts: to look inside, git would run the filters of the submodule's configuration.
    options = ("--porcelain", "--untracked-files=normal", "--ignore-submodules=dirty")
    extra = {"GIT_OPTIONAL_LOCKS": "0"} if only_look else {}
    output = git.run(top, "status", *options, settings=git.QUIET_AS_IGNORED, extra=extra)
    return output.splitlines()


def head(top: Path) -> str | None:
    """Return the id of the last commit, or None if there is none."""
    return git.revision(top, "HEAD^{commit}")


def is_detached(top: Path) -> bool:
    """Say whether HEAD is detached, so that a commit would be on no branch."""
    return git.output(top, "symbolic-ref", "--quiet", "HEAD") is None


def _forward(top: Path, commit: str, descriptor: int) -> str:
    """Fast-forward; return why that failed, or an empty text.

    The child inherits the lock: if this process dies, no other climb begins before the child ends.
    """
    # The branch's mergeOptions may name a strategy, which no option overrides.
    branch = git.output(top, "symbolic-ref", "--quiet", "--short", "HEAD")
    settings = SETTINGS | ({f"branch.{branch}.mergeOptions": ""} if branch else {})
    with tempfile.TemporaryFile() as errors:
        child = git.started(
            top,
            *FORWARD,
            commit,
            settings=settings,
            pass_fds=(descriptor,),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,  # Ctrl-C reaches Rung alone, and git finishes
        )
        try:
            code = child.wait()
        except BaseException:
            child.wait()
            raise
        finally:
            # A killed git leaves its locks; there were none before it began.
            if (child.returncode or 0) < 0:
                _remove_git_locks(top, patience=0.0)
        errors.seek(0)
        message = errors.read().decode(errors="replace").strip() or shortage.end(code)
    if not code:
        return ""
    lines = [f"Git could not bring {top} forward:", message, shortage.remedy_in(message)]
    return "\n".join(filter(None, lines))


def _unfinished(top: Path, before: str, commit: str) -> str:
    """Return why a fast-forward that git reports as done is not, or an empty text; HEAD is moved back."""
    if head(top) != commit:
        return f"Git reported no error, and {top} is not on the new commit."
    options = ("--porcelain", "-z", "--no-renames", "--untracked-files=no", "--ignore-submodules")
    extra = {"GIT_OPTIONAL_LOCKS": "0"}
    output = git.run(top, "status", *options, settings=git.QUIET_AS_IGNORED, extra=extra)
    changes = _changes(top, "diff-tree", "-r", before, commit)
    changed = sorted({line[3:] for line in output.split("\0")} & changes.keys())
    if not changed:
        return ""
    git.run(top, "update-ref", "-m", "rung: go back", "HEAD", before, commit)
    return (
        f"`{changed[0]}` in {top} differed from the commit right after git had written it.\n"
        "A filter or an attribute may change it: `git check-attr --all -- "
        f"{shlex.quote(changed[0])}`."
    )


def _recover_after(top: Path, why: str) -> "Recovered | None":
    try:
        return recover(top, killed=False)
    except (RungError, OSError) as error:
        raise RungError(
            f"{why}\nAnd it could not be undone yet: {error}\n"
            "Make room, or free the files, then run `rung plan`, which undoes it first."
        ) from error


def _report(failed: str, recovered: "Recovered | None") -> None:
    """Raise a RungError for a failed fast-forward, unless the new commit is in place after all."""
    if recovered is None or (recovered.state == "before" and not recovered.wrote_files):
        raise RungError(
            f"{failed}\nNothing was touched. Commit or stash what you changed in the meantime, "
            "or fix what git reports, then run the command again."
        )
    if recovered.state == "before":
        raise RungError(f"{failed}\nThe project is as it was.{recovered.details()}\n{MEND}")
    if recovered.state != "pending":
        raise RungError(f"{failed}\n{recovered.message()}\n{MEND}")


@dataclass(frozen=True)
class Recovered:
    """How an interrupted climb ended: `before`, `pending`, or `elsewhere` when the user has moved on.

    `snapshot`: what was on disk is stored under CRASH. `yours`: the climb's files that the user has changed
    since, left alone. `wrote_files`: files were removed or restored.
    """

    top: str
    state: str
    snapshot: bool = False
    yours: tuple[str, ...] = ()
    wrote_files: bool = field(default=False, compare=False)

    def message(self) -> str:
        """Say how the interrupted climb ended."""
        where = {
            "before": f"{self.top} is as it was before.",
            "pending": f"{self.top} is on its new commit.",
            "elsewhere": f"{self.top} has moved on since, and was left alone.",
        }[self.state]
        return printable_lines(f"An interrupted climb was cleaned up: {where}{self.details()}")

    def details(self) -> str:
        """Say on further lines what is left of the climb, if anything."""
        disk = f"\nWhat was on disk is kept: `git show --stat {CRASH}`." if self.snapshot else ""
        names = ", ".join(f"`{printable(path)}`" for path in self.yours)
        return disk + (f"\nYou changed these, and they were left alone: {names}." if names else "")


def recover_first(folder: Path) -> None:
    """Recover from an interrupted climb before anything is read, and print how it ended."""
    top = git.repository_above(folder)
    if top is None or git.revision(top, f"{PENDING}^{{commit}}") is None:
        return
    with locked(top):
        recovered = recover(top)
    if recovered is not None:
        print(recovered.message(), file=sys.stderr)


def recover(top: Path, *, killed: bool = True) -> Recovered | None:
    """Recover from an interrupted climb; return how it ended, or None if there was none.

    The caller holds the lock. `killed`: git may have been killed and may have left its locks.
    """
    _remove_git_locks(top, [*_pending_refs(top), CRASH], patience=0.0)
    pending = git.revision(top, f"{PENDING}^{{commit}}")
    if pending is None:
        return None
    before = git.revision(top, f"{pending}^1") or pending
    now = head(top)
    if killed and now in (before, pending):  # if HEAD is elsewhere, the locks are another git's
        _remove_git_locks(top)
    if now == before:
        recovered = _take_back(top, before, pending)
    else:
        recovered = Recovered(str(top), "pending" if now == pending else "elsewhere")
    _end(top)
    return recovered


def _take_back(top: Path, before: str, pending: str) -> Recovered:
    """Undo what an interrupted fast-forward has written, and nothing else.

    Of each file that the climb changes:

        on disk is                            it was there before  the climb adds it
        the old content                       left                 -
        no file                               restored             left
        the new content, or a part of either  removed, restored    removed
        other content                         left: the user's     left: the user's

    If this is killed as well, half of an old file may be on disk; the next command goes on.
    """
    changes = _changes(top, "diff-tree", "-r", before, pending)
    staged = _changes(top, "diff-index", "--cached", before)
    staged = {path: change for path, change in staged.items() if changes.get(path) == change}
    with tempfile.TemporaryDirectory(prefix="rung-") as scratch:
        was = {path: blob for path, (blob, _) in changes.items()}
        will_be = {path: blob for path, (_, blob) in changes.items()}
        old = _index(top, was, Path(scratch) / "old")
        new = _index(top, will_be, Path(scratch) / "new")
        unlike_old, unlike_new = _unlike(top, old), _unlike(top, new)
        remove, restore, yours = [], [], []
        for path, blobs in sorted(changes.items()):
            is_old, is_new = (mode != NOTHING for mode, _ in blobs)
            if is_old and path not in unlike_old:
                continue
            if not _is_file(top, path):
                restore += [path] if is_old else []
            elif (is_new and path not in unlike_new) or _is_begun(top, path, before, pending):
                remove.append(path)
                restore += [path] if is_old else []
            else:
                yours.append(path)
        work = bool(remove or restore or staged)
        snapshot = work and _snapshot(top, before, pending, Path(scratch))
        for path in remove:
            (top / path).unlink(missing_ok=True)
            if changes[path][0][0] == NOTHING:
                with contextlib.suppress(OSError):  # it is not empty
                    os.removedirs((top / path).parent)
        _unstage(top, staged)
        # Attributes first, as they say how the others are written.
        for attributes in (True, False):
            paths = [path for path in restore if path.endswith(".gitattributes") is attributes]
            yours += _write(top, old, paths)
    if work:
        git.output(top, "update-index", "-q", "--refresh")
    return Recovered(str(top), "before", snapshot, tuple(sorted(yours)), work)


def _changes(top: Path, command: str, *arguments: str) -> Changes:
    """Return the files that differ between two trees, or between a tree and the index."""
    fields = git.run(top, command, "-z", "--raw", "--no-renames", *arguments).split("\0")
    changes = {}
    for facts, path in zip(fields[0::2], fields[1::2], strict=False):
        old_mode, new_mode, old_id, new_id, _ = facts.removeprefix(":").split(" ")
        if git.SUBMODULE not in (old_mode, new_mode):
            changes[path] = ((old_mode, old_id), (new_mode, new_id))
    return changes


def _index(top: Path, blobs: dict[str, Blob], file: Path) -> dict[str, str]:
    """Make an index of some files; return the variable that names it.

    It has no times, so git compares contents: a file that was written again within a second, at
    the same size, has the times and the size that the user's index knows.
    """
    extra = {"GIT_INDEX_FILE": str(file)}
    present = {path: blob for path, blob in blobs.items() if blob[0] != NOTHING}
    lines = (f"{mode} {oid} 0\t{path}\0" for path, (mode, oid) in present.items())
    arguments = ("update-index", "-z", "--index-info")
    git.run(top, *arguments, settings=SETTINGS, stdin="".join(lines), extra=extra)
    return extra


def _unlike(top: Path, index: dict[str, str]) -> set[str]:
    """Return the files of an index that differ from those on disk."""
    git.output(top, "update-index", "-q", "--refresh", extra=index)
    options = ("-z", "--name-only", "--ignore-submodules")
    return set(git.run(top, "diff-files", *options, settings=SETTINGS, extra=index).split("\0"))


def _is_file(top: Path, path: str) -> bool:
    """Say whether there is a file or link at a path, and only real folders above it."""
    file = top / path
    if any(up.is_symlink() or not up.is_dir() for up in _above(top, path)):
        return False
    return file.is_symlink() or (os.path.lexists(file) and not file.is_dir())


def _above(top: Path, path: str) -> list[Path]:
    return [top / up for up in PurePosixPath(path).parents if up.name]


def _is_begun(top: Path, path: str, before: str, pending: str) -> bool:
    """Say whether a file holds the beginning of its old or new content, which git has in full.

    Line ends are ignored, as the attributes that set them may be gone.
    """
    file = top / path
    if not stat.S_ISREG(file.lstat().st_mode):
        return False
    start = file.read_bytes().replace(b"\r\n", b"\n").rstrip(b"\r")
    for commit in (pending, before):
        for form in ("blob", "--filters"):  # as stored, and as the user's filters write it
            with contextlib.suppress(RungError):
                content = git.run(top, "cat-file", form, f"{commit}:{path}").replace("\r\n", "\n")
                if content.encode("utf-8", "surrogateescape").startswith(start):
                    return True
    return False


def _unstage(top: Path, staged: Changes) -> None:
    # Added files first: one of them may be in the place of a folder.
    ordered = sorted(staged.items(), key=lambda item: item[1][0][0] != NOTHING)
    lines = [f"{mode} {oid} 0\t{path}\0" for path, ((mode, oid), _) in ordered]
    if lines:
        git.run(top, "update-index", "-z", "--index-info", stdin="".join(lines))


def _write(top: Path, index: dict[str, str], paths: list[str]) -> list[str]:
    """Write files of an index to free paths; return those whose path is taken."""
    taken = [
        path
        for path in paths
        if os.path.lexists(top / path)
        or any(up.is_symlink() or (up.exists() and not up.is_dir()) for up in _above(top, path))
    ]
    names = "".join(f"{path}\0" for path in paths if path not in taken)
    if names:
        arguments = ("checkout-index", "-z", "--stdin")
        git.run(top, *arguments, settings=SETTINGS, stdin=names, extra=index)
    return taken


def _snapshot(top: Path, before: str, pending: str, scratch: Path) -> bool:
    """Store what is on disk under refs/rung/crash; return whether that worked.

    A second snapshot of the same climb has the first as a parent, so that none is lost. It is
    skipped if the disk is full: only the climb's own files are changed anyway.
    """
    index = scratch / "snapshot"
    extra = {"GIT_INDEX_FILE": str(index)}
    try:
        # Start from the user's index, which has ignored files that they added.
        own = git.run(top, "rev-parse", "--git-path", "index").rstrip("\n")
        with contextlib.suppress(FileNotFoundError):
            shutil.copy2(
                top / own, index
            )  # with its time, by which git knows which entries to distrust
        settings = git.QUIET_AS_IGNORED
        git.run(top, "add", "--all", "--", *_own_files(top), settings=settings, extra=extra)
        tree = git.run(top, "write-tree", extra=extra).strip()
        earlier = git.revision(top, CRASH)
        parents = [before, *([earlier] if earlier else [])]
        options = [word for parent in parents for word in ("-p", parent)]
        message = f"What an interrupted climb left on disk\n\nIt led to {pending}.\n"
        settings = git.QUIET | git.RUNG_IDENTITY
        commit = git.run(top, "commit-tree", tree, *options, settings=settings, stdin=message)
        git.run(top, "update-ref", CRASH, commit.strip())
    except (RungError, OSError):
        return False
    return True


def _own_files(top: Path) -> list[str]:
    """Return pathspecs for all files except submodules, whose configuration may name programs."""
    entries = git.run(top, "ls-files", "--stage", "-z").split("\0")
    inner = [line.partition("\t")[2] for line in entries if line.startswith(git.SUBMODULE)]
    return [".", *(f":(exclude,literal){path}" for path in inner)]


def _remove_git_locks(
    top: Path, names: Iterable[str] = (), *, patience: float | None = None
) -> None:
    """Remove the locks that a killed git left, once they are older than `patience` seconds."""
    patience = PATIENCE if patience is None else patience
    for file in _git_locks(top, names):
        deadline = time.monotonic() + patience
        with contextlib.suppress(FileNotFoundError):
            while time.time() - file.stat().st_mtime < patience and time.monotonic() < deadline:
                time.sleep(0.05)
            file.unlink()


def _git_locks(top: Path, names: Iterable[str] = ()) -> list[Path]:
    """Return git's lock files for these names, or for all that a fast-forward locks."""
    branch = git.output(top, "symbolic-ref", "--quiet", "HEAD")
    wanted = list(names) or [*LOCKED, *([branch] if branch else [])]
    pairs = [("--git-path", f"{name}.lock") for name in wanted]
    together = git.run(top, "rev-parse", *(word for pair in pairs for word in pair))
    lines = together.removesuffix("\n").split("\n")
    if len(lines) != len(pairs):  # the name of a folder contains a newline
        lines = [git.run(top, "rev-parse", *pair).removesuffix("\n") for pair in pairs]
    return [top / line for line in lines]
