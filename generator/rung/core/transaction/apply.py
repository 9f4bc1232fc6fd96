"""Move a project from one commit to the next; a failure leaves it on the old or the new one."""

import contextlib
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from rung.core.rendering.workbench import Workbench
from rung.core.transaction import journal, locks, preconditions, recover, undo
from rung.core.transaction.recover import Recovered
from rung.errors import RungError
from rung.system import git, shortage

# What a person may have set that would stop a fast-forward, or do more than one. What their own file
# ignores is not overwritten either.
SETTINGS = git.QUIET_AS_IGNORED | {
    "advice.diverging": "false",
    "core.ignoreStat": "false",  # it would set assume-unchanged bits
    "core.sparseCheckout": "false",  # it would leave new files out
    "submodule.recurse": "false",
}
ON_NO_BRANCH = "HEAD is detached, so a commit is on no branch: `git switch -c NAME` makes one."
MEND = "Change what the message above names, then run the command again."
FORWARD = (
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
)


def apply(bench: Workbench, before: str, tree: str, message: str) -> str:
    """Commit a tree on top of HEAD, and bring branch, index and work tree there at once.

    Args:
        bench: The repository that holds the tree.
        before: The commit that HEAD is known to be at.
        tree: The whole repository's new tree.
        message: The commit's message.

    Returns:
        The id of the new commit.

    Raises:
        RungError: HEAD or a file has changed, another climb or another git is under way; nothing
            was touched. Or git refused, or failed half-way; what it had written is rolled back.
    """
    commit = bench.commit(tree, [before], message)
    with locks.acquired(bench.top) as descriptor:
        nothing_interrupted(bench.top)
        _refuse_what_changed(bench.top, before)
        files = _prepared(bench, before, commit)
        marks = undo.marks(bench.top, files)
        try:
            failed = _forward(bench.top, commit, descriptor)
            failed = failed or _unfinished(bench.top, before, commit, files)
        except BaseException:
            ended = _back(bench.top, "The climb was stopped.")
            if ended is not None and (ended.stands_on != "before" or ended.details()):
                print(ended.message(), file=sys.stderr)
            raise
        if failed and marks == undo.marks(bench.top, files) and head(bench.top) == before:
            journal.clear(bench.top)
            raise RungError(
                f"{failed}\nNothing was touched. Commit or stash what you have changed meanwhile, "
                "or fix what git reports, then run the command again."
            )
        if failed:
            _undo(bench.top, failed)
        journal.clear(bench.top)
    return commit


def nothing_interrupted(top: Path) -> None:
    """End what was interrupted since the project was looked at; raise a RungError if there was any.

    The caller holds the lock.
    """
    if ended := recover.ended(top):
        raise RungError(
            f"{ended.message()}\n"
            "The plan is from before that. Nothing was done. Run the command again."
        )


def _refuse_what_changed(top: Path, before: str) -> None:
    """Raise a RungError if the person has gone on working, for which the checks give minutes."""
    if head(top) != before:
        raise RungError(
            f"{top} has another last commit than when this was planned.\n"
            "Nothing was touched. Run the command again."
        )
    if changed := preconditions.uncommitted(top, only_look=True):
        raise RungError(
            f"{top} was changed meanwhile, `{changed[0].strip()}` for one.\n"
            "Nothing was touched. Commit or stash your changes, then run the command again."
        )
    locks.refuse_git(top)


def _prepared(bench: Workbench, before: str, commit: str) -> list[undo.Change]:
    """Keep both commits, write the journal, and return the files that change."""
    try:
        bench.keep(before, commit)
        files = undo.changes(bench.top, before, commit)
        journal.write(bench.top, before, commit)
    except (RungError, OSError) as error:
        with contextlib.suppress(RungError, OSError):
            journal.clear(bench.top)
        raise RungError(
            f"The climb could not be prepared in {bench.top}: {error}\n"
            "Nothing was touched. Make room or get the right to write there, then try again."
        ) from error
    return files


def head(top: Path) -> str | None:
    """Return the id of the last commit, or None if there is none."""
    return git.answers(top, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")


def is_detached(top: Path) -> bool:
    """Return whether HEAD is on no branch, so that a commit would be on none."""
    return git.answers(top, "symbolic-ref", "--quiet", "HEAD") is None


def _forward(top: Path, commit: str, descriptor: int) -> str:
    """Fast-forward; return why that failed, or nothing.

    The child inherits the lock: if this process dies, no other climb begins before the child has ended.
    """
    # What the person has set for the branch may name a strategy, which no option takes back.
    branch = git.answers(top, "symbolic-ref", "--quiet", "--short", "HEAD")
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
            start_new_session=True,  # Ctrl-C is for Rung; git is let to end what it does
        )
        try:
            code = child.wait()
        except BaseException:
            child.wait()
            raise
        finally:
            # It was killed and could not remove its locks; there were none before it began.
            if (child.returncode or 0) < 0:
                locks.clear_git(top, patience=0.0)
        errors.seek(0)
        message = errors.read().decode(errors="replace").strip() or shortage.end(code)
    if not code:
        return ""
    lines = [f"Git could not bring {top} forward:", message, shortage.remedy_in(message)]
    return "\n".join(filter(None, lines))


def _unfinished(top: Path, before: str, commit: str, files: list[undo.Change]) -> str:
    """Return why a fast-forward that git calls done is not, or nothing.

    Where HEAD has moved and a file is not as it was committed, HEAD goes back.
    """
    if head(top) != commit:
        return f"Git reported no error, and {top} is not on the new commit."
    options = ("--porcelain", "-z", "--no-renames", "--untracked-files=no", "--ignore-submodules")
    extra = {"GIT_OPTIONAL_LOCKS": "0"}
    output = git.run(top, "status", *options, settings=git.QUIET_AS_IGNORED, extra=extra)
    changed = sorted({line[3:] for line in output.split("\0")} & {one.path for one in files})
    if not changed:
        return ""
    git.run(top, "update-ref", "-m", "rung: go back", "HEAD", before, commit)
    return (
        f"`{changed[0]}` in {top} differed from the commit right after git had written it.\n"
        "A filter or an attribute may change it: `git check-attr --all -- "
        f"{shlex.quote(changed[0])}`."
    )


def _undo(top: Path, failed: str) -> None:
    """Undo a fast-forward that failed half-way; raise unless it turns out to be complete."""
    ended = _back(top, failed)
    if ended is None or ended.stands_on == "before":
        details = ended.details() if ended else ""
        raise RungError(f"{failed}\nThe project is as it was.{details}\n{MEND}")
    if ended.stands_on != "pending":
        raise RungError(f"{failed}\n{ended.message()}\n{MEND}")


def _back(top: Path, why: str) -> Recovered | None:
    try:
        return recover.ended(top, killed=False)
    except (RungError, OSError) as error:
        raise RungError(
            f"{why}\nAnd it could not be undone yet: {error}\n"
            "Make room, or free the files, then run `rung plan`: it leads back first."
        ) from error
