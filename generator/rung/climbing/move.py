"""Bring a project from one commit to the next, so that it stands on the old or on the new one."""

import contextlib
import subprocess
import tempfile
from pathlib import Path

from rung import git
from rung.climbing import journal, lock, recover
from rung.climbing.workbench import Workbench
from rung.errors import NotDoneError, RungError

# What a person may have set that would stop a fast-forward, or do more than one.
SETTINGS = git.QUIET | {
    "advice.diverging": "false",
    "gc.auto": "0",  # a child in the background would hold the lock
    "maintenance.auto": "false",
    "merge.autoStash": "false",
    "merge.stat": "false",
    "merge.verifySignatures": "false",
    "submodule.recurse": "false",
}
del SETTINGS["core.excludesFile"]  # what the person's own file ignores is not overwritten either


def apply(bench: Workbench, before: str, tree: str, message: str) -> str:
    """Commit a tree on top of HEAD, and bring branch, index and work tree there at once.

    Args:
        bench: Where the tree stands.
        before: The commit that HEAD is known to be at.
        tree: The whole repository's new tree.
        message: The commit's message.

    Returns:
        The id of the new commit.

    Raises:
        RungError: HEAD has moved, another climb is under way, or something of the person's
            stands in the way; nothing was touched.
        NotDoneError: Git failed half-way; the work tree is as it was.
    """
    commit = bench.commit(tree, [before], message)
    with lock.held(bench.top) as descriptor:
        recover.ended(bench.top)
        if head(bench.top) != before:
            raise RungError(
                f"{bench.top} has another last commit than when this was planned.\n"
                "Nothing was touched. Run the command again."
            )
        try:
            bench.keep(before, commit)
            journal.write(bench.top, before, commit)
        except (RungError, OSError) as error:
            with contextlib.suppress(RungError, OSError):
                journal.clear(bench.top)
            raise RungError(
                f"The climb could not be prepared in {bench.top}: {error}\n"
                "Nothing was touched. Make room or get the right to write there, then try again."
            ) from error
        try:
            failed = _forward(bench.top, commit, descriptor)
        except BaseException:
            _back(bench.top, "The climb was stopped.")
            raise
        if failed:
            _back(bench.top, failed)
            raise NotDoneError(f"{failed}\nThe project is as it was.")
        journal.clear(bench.top)
    return commit


def head(top: Path) -> str | None:
    """Return the id of the last commit, or None where there is none."""
    return git.answers(top, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")


def _forward(top: Path, commit: str, descriptor: int) -> str:
    """Fast-forward; return why that failed, or nothing.

    The child inherits the lock: should this process die, nobody begins before the child has ended.
    """
    options = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
    words = ["merge", "--ff-only", "--no-overwrite-ignore", "--quiet", "--no-stat", commit]
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(
            ["git", *options, *words],
            cwd=top,
            env=git.environment(),
            pass_fds=(descriptor,),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,  # Ctrl-C is for Rung; git is let to end what it does
        )
        try:
            code = child.wait()
        except BaseException:
            child.wait()
            raise
        said.seek(0)
        words_of_git = said.read().decode(errors="replace").strip() or f"exit code {code}"
    return f"Git could not bring {top} forward:\n{words_of_git}" if code else ""


def _back(top: Path, why: str) -> None:
    try:
        recover.ended(top)
    except (RungError, OSError) as error:
        raise RungError(
            f"{why}\nAnd it could not be undone yet: {error}\n"
            "Make room, or free the files, then run `rung plan`: it leads back first."
        ) from error
