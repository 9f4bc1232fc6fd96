"""Apply a commit to branch, index and work tree at once: old or new, never a mix (decision 19, crashes).

The new commit is stored under a ref, then git fast-forwards to it, then the ref is deleted. If Rung
or git is killed in between, the next command finds the ref. Where HEAD has not moved yet, it restores
the files of the climb: one that is missing, or that holds the beginning of its old or new content,
was the climb's, and nothing in it can be lost. Any other content is the user's, and stays.
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
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from rung.core.rendering.workbench import Workbench
from rung.errors import RungError
from rung.system import git, lock, process, shortage
from rung.system.printable import printable, printable_lines

PATIENCE = 2.0  # seconds for which another git, such as an editor's `git status`, is waited for
WAIT = 1.0  # seconds for which another climb is waited for; a git whose Rung was killed ends in that time
# Against settings of the user's that would stop a fast-forward, or do more than it. Files that the
# user's own excludes file ignores are not overwritten either.
SETTINGS = git.QUIET_AS_IGNORED | {
    "advice.diverging": "false",
    "core.ignoreStat": "false",  # it would set assume-unchanged bits
    "core.sparseCheckout": "false",  # it would leave new files out
    "merge.autoStash": "false",
    "merge.verifySignatures": "false",
    "submodule.recurse": "false",
}
LOCKED = ("index", "HEAD", "ORIG_HEAD", "AUTO_MERGE")  # by git in a work tree, besides refs
FORWARD = ("merge", "--ff-only", "--quiet", "--no-overwrite-ignore")
UNDO = "git reset --keep HEAD~1"  # undoes the last commit, and keeps edits
ON_NO_BRANCH = "HEAD is detached, so a commit is on no branch: `git switch -c NAME` makes one."


def apply(bench: Workbench, before: str, tree: str, message: str) -> str:
    """Commit a tree on top of HEAD, and apply it to branch, index and work tree at once.

    Returns the id of the new commit, or raises a RungError: nothing was touched, or what git had written
    is removed again.
    """
    top, commit = bench.top, bench.commit(tree, [before], message)
    with locked(top) as descriptor:
        _report(recover(top))
        _refuse_what_changed(top, before)
        process.raise_lost_stop()
        try:
            bench.keep(before, commit)
            git.run(top, "update-ref", pending_ref(top), commit)
        except (RungError, OSError) as error:
            raise RungError(
                f"The climb could not be prepared in {top}: {error}\n"
                "Nothing was touched. Make room, or make it writable, then try again."
            ) from error
        try:
            failed = _forward(top, commit, descriptor)
        except BaseException:
            _report(_recover_after(top, "The climb was stopped."))
            raise
        if not failed and head(top) == commit:
            git.run(top, "update-ref", "-d", pending_ref(top))
            return commit
        ended = _recover_after(top, failed)
        if head(top) != commit:
            raise RungError(
                f"{failed}\n{ended}\n"
                "Change what the message above names, then run the command again."
            )
    return commit


def pending_ref(top: Path) -> str:
    """Return the ref that holds the commit to which a climb moves this work tree.

    A command recovers only its own work tree, so a copied or hostile repository cannot lead it to
    another folder. All work trees share the ref's folder, or `git gc` in one would not know the ref.
    """
    own = git_folder(top, "--git-dir")
    linked = (own / "commondir").exists()
    return f"refs/rung/pending/{f'worktrees/{own.name}' if linked else 'main'}"


def git_folder(top: Path, option: str) -> Path:
    """Return the work tree's own git folder (`--git-dir`), or the one that all share (`--git-common-dir`)."""
    return (top / git.run(top, "rev-parse", option).removesuffix("\n")).resolve()


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
    return git_folder(top, "--git-common-dir") / "rung.lock"


def _refuse_what_changed(top: Path, before: str) -> None:
    """Raise a RungError if the user changed something while the project's checks ran."""
    if head(top) != before:
        raise RungError(
            f"The last commit of {top} has changed since this was planned.\n"
            "Nothing was touched. Run the command again."
        )
    if changed := uncommitted(top):
        raise RungError(
            f"{top} was changed in the meantime, for example `{changed[0].strip()}`.\n"
            "Nothing was touched. Commit or stash your changes, then run the command again."
        )
    refuse_git_locks(top)


def refuse_git_locks(top: Path) -> None:
    """Raise a RungError if git runs in the work tree, or was killed there; nothing was touched yet."""
    own, shared = git_folder(top, "--git-dir"), git_folder(top, "--git-common-dir")
    files = [*(own / f"{name}.lock" for name in LOCKED), shared / "packed-refs.lock"]
    files += (shared / "refs").rglob("*.lock")
    deadline = time.monotonic() + PATIENCE
    while any(file.exists() for file in files) and time.monotonic() < deadline:
        time.sleep(0.02)
    if locks := [str(file) for file in files if file.exists()]:
        raise RungError(
            f"Another git process runs in {top}, or was killed there.\n"
            f"Wait until it ends. If none runs: `{printable(shlex.join(['rm', *locks]))}`. "
            "Then run the command again."
        )


def uncommitted(top: Path) -> list[str]:
    """Return the lines of `git status`, which writes no index, as that needs disk space."""
    # Files that the user's own excludes file ignores are no changes. Of a submodule only its commit
    # counts: to look inside, git would run the filters of the submodule's configuration.
    options = ("--porcelain", "--untracked-files=normal", "--ignore-submodules=dirty")
    extra = {"GIT_OPTIONAL_LOCKS": "0"}
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
        errors.seek(0)
        message = errors.read().decode(errors="replace").strip() or shortage.end(code)
    if not code:
        return ""
    lines = [f"Git could not bring {top} forward:", message, shortage.remedy_in(message)]
    return "\n".join(filter(None, lines))


def _recover_after(top: Path, why: str) -> str:
    try:
        return recover(top)
    except (RungError, OSError) as error:
        raise RungError(
            f"{why}\nAnd it could not be undone yet: {error}\n"
            "Then run `rung plan`, which undoes it first."
        ) from error


def recover_first(folder: Path) -> None:
    """Recover from an interrupted climb before anything is read, and print how it ended."""
    top = git.repository_above(folder)
    if top is None:
        return
    git.refuse_unreadable(top)
    if git.revision(top, f"{pending_ref(top)}^{{commit}}") is None:
        return
    with locked(top):
        _report(recover(top))


def _report(ended: str) -> None:
    if ended:
        print(ended, file=sys.stderr)


def recover(top: Path) -> str:
    """Recover from an interrupted climb; return how it ended, or an empty text if there was none.

    The caller holds the lock, which a killed climb had passed on to its git, so that one has ended.
    """
    pending = git.revision(top, f"{pending_ref(top)}^{{commit}}")
    if pending is None:
        return ""
    before, now = git.revision(top, f"{pending}^1"), head(top)
    where = f"{top} has moved on since, and was left alone."
    if now in (before, pending):  # if HEAD is elsewhere, the locks are another git's
        refuse_git_locks(top)
    if now == pending:
        where = f"{top} is on its new commit."
    elif now == before is not None:
        yours = _take_back(top, before, pending)
        where = f"{top} is as it was before."
        if yours:
            names = ", ".join(f"`{printable(path)}`" for path in yours)
            where += f"\nYou changed these, and they were left alone: {names}."
    git.run(top, "update-ref", "-d", pending_ref(top))
    return printable_lines(f"An interrupted climb was cleaned up: {where}")


def _take_back(top: Path, before: str, pending: str) -> list[str]:
    """Restore what an interrupted fast-forward has written; return the files that are the user's since.

    If this is killed as well, half of an old file may be on disk; the next command goes on.
    """
    options = ("-r", "-z", "--name-only", "--no-renames")
    paths = git.run(top, "diff-tree", *options, before, pending).split("\0")[:-1]
    with tempfile.TemporaryDirectory(prefix="rung-") as scratch:
        old = _written(top, before, paths, Path(scratch) / "old")
        new = _written(top, pending, paths, Path(scratch) / "new", strict=False)
        changed = [path for path in paths if _content(top, path) != _content(old, path)]
        climbs = [path for path in changed if any(_begun(top, side, path) for side in (old, new))]
        for path in climbs:
            if _content(top, path) is not None:
                (top / path).unlink()
                if _content(old, path) is None:
                    with contextlib.suppress(OSError):  # it is not empty
                        os.removedirs((top / path).parent)
        _unstage(top, before, pending, set(paths))
        return [path for path in changed if path not in climbs or not _restored(old, top, path)]


def _written(
    top: Path, commit: str, paths: list[str], folder: Path, *, strict: bool = True
) -> Path:
    """Write files of a commit into a new folder, as git writes them into the work tree.

    Unless `strict`, those are left out at which a filter of the user's fails: of them git writes nothing.
    """
    folder.mkdir()
    extra = {"GIT_INDEX_FILE": f"{folder}.index", "GIT_WORK_TREE": str(folder)}
    git.run(top, "read-tree", commit, settings=SETTINGS, extra=extra)
    known = set(git.run(top, "ls-files", "-z", extra=extra).split("\0"))
    wanted = [path for path in paths if path in known]
    arguments = ("checkout-index", "-z", "--stdin")
    try:
        git.run(top, *arguments, settings=SETTINGS, stdin="\0".join(wanted), extra=extra)
    except RungError:
        if strict:
            raise
        for path in wanted:
            with contextlib.suppress(RungError):
                git.run(top, *arguments, settings=SETTINGS, stdin=path, extra=extra)
    return folder


def _content(folder: Path, path: str) -> tuple[int, bytes] | None:
    """Return mode and content of a file or link; None if there is none, or it is below a link."""
    file = folder / path
    if any(up.is_symlink() or not up.is_dir() for up in _above(folder, path)):
        return None
    if not os.path.lexists(file) or (file.is_dir() and not file.is_symlink()):
        return None
    mode = file.lstat().st_mode
    if stat.S_ISLNK(mode):
        return stat.S_IFLNK, os.fsencode(file.readlink())
    whole = file.read_bytes() if stat.S_ISREG(mode) else b""
    return stat.S_IFMT(mode) | mode & stat.S_IXUSR, whole


def _above(folder: Path, path: str) -> list[Path]:
    return [folder / up for up in PurePosixPath(path).parents if up.name]


def _begun(top: Path, side: Path, path: str) -> bool:
    """Say whether a file is missing, or holds the beginning of what a side of the climb has there."""
    found, whole = _content(top, path), _content(side, path)
    if found is None or found == whole:
        return True
    if whole is None or not stat.S_ISREG(found[0]) or not stat.S_ISREG(whole[0]):
        return False
    return whole[1].startswith(found[1])


def _unstage(top: Path, before: str, pending: str, paths: set[str]) -> None:
    """Reset the files of the climb that are staged as it leads to."""
    options = ("--cached", "-z", "--name-only", "--no-renames")
    staged = paths - set(git.run(top, "diff-index", *options, pending).split("\0"))
    if staged:
        arguments = ("reset", "--quiet", "--pathspec-from-file=-", "--pathspec-file-nul", before)
        names, extra = "\0".join(staged), {"GIT_LITERAL_PATHSPECS": "1"}
        git.run(top, *arguments, settings=SETTINGS, stdin=names, extra=extra)


def _restored(old: Path, top: Path, path: str) -> bool:
    """Restore a file, if there was one; return False if something else is in its place."""
    if _content(old, path) is None:
        return True
    with contextlib.suppress(OSError):  # it is no folder, or not empty
        (top / path).rmdir()
    above = _above(top, path)
    if os.path.lexists(top / path) or any(
        up.is_symlink() or (up.exists() and not up.is_dir()) for up in above
    ):
        return False
    (top / path).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(old / path, top / path, follow_symlinks=False)
    return True
