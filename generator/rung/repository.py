"""Whether a repository can be read as it lies on this machine."""

import shlex
from pathlib import Path

from rung import git
from rung.errors import RungError

PARTIAL = r"^(extensions\.partialclone|remote\..*\.(promisor|partialclonefilter))$"


def root(folder: Path) -> Path | None:
    """Return the root of the work tree that a folder is in, or None where it is in none.

    Raises:
        RungError: Git refuses the repository, it has no work tree or one elsewhere, or some of its
            objects are on another machine.
    """
    top = git.repository_above(folder)
    if top is None:
        if folder.is_dir() and git.answers(folder, "rev-parse", "--is-bare-repository") == "true":
            raise RungError(
                f"{folder} is a bare repository, which has no files to work on.\n"
                "Clone it, then run the command in the clone."
            )
        return None
    git.require()
    refuse_unreadable(top)
    _refuse_elsewhere(top)
    _refuse_partial(top)
    return top


def refuse_unreadable(top: Path) -> None:
    """Raise a RungError where git refuses a repository altogether."""
    done = git.completed(top, "rev-parse", "--git-dir")
    if not done.returncode:
        return
    words = done.stderr.decode(errors="replace").strip()
    if "dubious ownership" in words:
        raise RungError(
            f"{top} belongs to another user, and git does not read it for that reason.\n"
            f"If you trust it: `git config --global --add safe.directory {shlex.quote(str(top))}`."
        )
    raise RungError(f"Git cannot read the repository {top}:\n{words}")


def _refuse_elsewhere(top: Path) -> None:
    """Raise a RungError where git would read and write the files of another folder."""
    if git.answers(top, "rev-parse", "--is-bare-repository") == "true":
        raise RungError(
            f"{top} is set up as a bare repository (`core.bare`), so git has no files to work on.\n"
            "Run `git config --unset core.bare`, then run the command again."
        )
    shown = git.run(top, "rev-parse", "--show-toplevel").removesuffix("\n")
    if Path(shown).resolve() != top.resolve():
        raise RungError(
            f"The repository {top} keeps its files in {shown} (`core.worktree`).\n"
            "Run the command there, or run `git config --unset core.worktree`."
        )


def _refuse_partial(top: Path) -> None:
    """Raise a RungError for a partial clone; git from 2.47 on says so of the remote alone."""
    asked = ("config", "--name-only", "-z", "--get-regexp", PARTIAL)
    keys = [key for key in (git.answers(top, *asked) or "").split("\0") if key]
    if any(not key.endswith("filter") for key in keys):  # which alone means nothing
        forget = "".join(f"\n  git config --unset-all {shlex.quote(key)}" for key in keys)
        raise RungError(
            f"{top} is a partial clone, and what it lacks would have to be fetched.\n"
            f"Run these, then run the command again:\n  git fetch --refetch --no-filter{forget}"
        )
