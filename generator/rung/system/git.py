"""What Rung asks git for."""

import os
import shlex
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from rung.errors import RungError
from rung.system import shortage
from rung.system.git_call import ELSEWHERE, QUIET, QUIET_AS_IGNORED, completed, environment, started

__all__ = ["ELSEWHERE", "QUIET", "QUIET_AS_IGNORED", "completed", "environment", "started"]

# For commits that are the same on every machine: nothing of this one goes into them.
SAME_EVERYWHERE = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (
        ("NAME", "Rung"),
        ("EMAIL", "rung@localhost"),
        ("DATE", "2026-01-01T00:00:00+0000"),
    )
}
NOBODY = {"user.name": "Rung", "user.email": "rung@localhost"}

PARTIAL = r"^(extensions\.partialclone|remote\..*\.(promisor|partialclonefilter))$"


def require() -> None:
    """Raise a RungError when git is not installed."""
    if shutil.which("git") is None:
        raise RungError(
            "git is not installed, or not on PATH. Rung keeps the template and every project in "
            f"git.\nInstall git, then run the same command again. {shortage.DOCTOR}"
        )


def run(
    folder: Path,
    *arguments: str,
    settings: Mapping[str, str] = QUIET,
    stdin: str = "",
    extra: Mapping[str, str] | None = None,
) -> str:
    """Run git in a folder and return what it prints; raise a RungError with its message if it fails.

    Args:
        folder: Where git runs.
        arguments: What follows `git`.
        settings: Configuration for this one call.
        stdin: What git reads.
        extra: Environment variables to add.
    """
    text = stdin.encode("utf-8", "surrogateescape")
    try:
        done = completed(folder, *arguments, settings=settings, extra=extra, stdin=text)
    except OSError:
        require()
        raise
    if done.returncode:
        message = done.stderr.decode(errors="replace").strip() or shortage.end(done.returncode)
        lines = [f"`git {arguments[0]}` failed in {folder}:", message, shortage.remedy_in(message)]
        raise RungError("\n".join(filter(None, lines)))
    return done.stdout.decode("utf-8", "surrogateescape")


def answers(folder: Path, *arguments: str, extra: Mapping[str, str] | None = None) -> str | None:
    """Return what git prints, stripped, or None when it fails."""
    try:
        return run(folder, *arguments, extra=extra).strip()
    except RungError:
        return None


def show(repository: Path, version: str, path: str) -> str | None:
    """Return a file as it is in a version, or None when it is not there.

    The repository is named outright: git may be told to look for no bare one.
    """
    inside = repository / ".git"
    extra = {"GIT_DIR": str(inside if inside.exists() else repository)}
    return answers(repository, "cat-file", "blob", f"{version}:{path}", extra=extra)


def repository_above(folder: Path) -> Path | None:
    """Return the nearest folder, from this one up, that is a git work tree."""
    real = folder.resolve()  # of `../project` the parents as written are other folders
    return next((up for up in (real, *real.parents) if os.path.lexists(up / ".git")), None)


def knows_me(folder: Path) -> bool:
    """Say whether git has a name and an address to commit with."""
    lines = (answers(folder, "config", "--get-regexp", r"^user\.(name|email)$") or "").splitlines()
    configured = {key: value for key, _, value in (line.partition(" ") for line in lines)}
    name = os.environ.get("GIT_AUTHOR_NAME") or configured.get("user.name")
    email = os.environ.get("GIT_AUTHOR_EMAIL") or configured.get("user.email")
    return bool(name and email)


def commit_all(folder: Path, message: str) -> bool:
    """Commit everything in a folder; return False when it had to be done under Rung's own name."""
    known = knows_me(folder)
    settings = QUIET if known else QUIET | NOBODY
    run(folder, "add", "--all")
    run(folder, "commit", "--quiet", "--no-verify", "-m", message, settings=settings)
    return known


def start(folder: Path, message: str) -> bool:
    """Make a folder a repository on branch main with one commit; return as `commit_all`."""
    run(folder, "init", "--quiet", "--initial-branch=main")
    return commit_all(folder, message)


def prefix(top: Path, folder: Path) -> str:
    """Return the path of a folder below its repository's root; nothing for the root itself."""
    below = folder.resolve().relative_to(top.resolve()).as_posix()
    return "" if below == "." else below


def blobs(output: str, oids: Iterable[str]) -> dict[str, bytes]:
    """Split the output of `cat-file --batch` into blobs, in this order.

    Raises:
        RungError: One of them is missing.
    """
    stream, contents, at = output.encode("utf-8", "surrogateescape"), {}, 0
    for oid in oids:
        head = stream.index(b"\n", at)
        facts = stream[at:head].split()
        if len(facts) != 3:
            raise lacks(oid)
        size = int(facts[2])
        contents[oid] = stream[head + 1 : head + 1 + size]
        at = head + size + 2
    return contents


def lacks(oid: str) -> RungError:
    """Return the error for an object that a repository ought to hold."""
    return RungError(
        f"The repository lacks the object {oid}.\n"
        "`git fsck` lists what is missing; a fresh clone brings it back."
    )


def root(folder: Path) -> Path | None:
    """Return the root of the work tree that a folder is in, or None if it is in none.

    Raises:
        RungError: Git refuses the repository, it has no work tree or one elsewhere, or some of its
            objects are on another machine.
    """
    top = repository_above(folder)
    if top is None:
        if folder.is_dir() and answers(folder, "rev-parse", "--is-bare-repository") == "true":
            raise RungError(
                f"{folder} is a bare repository, which has no files to work on.\n"
                "Clone it, then run the command in the clone."
            )
        return None
    require()
    refuse_unreadable(top)
    _refuse_elsewhere(top)
    _refuse_partial(top)
    return top


def refuse_unreadable(top: Path) -> None:
    """Raise a RungError if git refuses a repository altogether."""
    done = completed(top, "rev-parse", "--git-dir")
    if not done.returncode:
        return
    message = done.stderr.decode(errors="replace").strip()
    if "dubious ownership" in message:
        raise RungError(
            f"{top} belongs to another user, and git does not read it for that reason.\n"
            f"If you trust it: `git config --global --add safe.directory {shlex.quote(str(top))}`."
        )
    raise RungError(f"Git cannot read the repository {top}:\n{message}")


def _refuse_elsewhere(top: Path) -> None:
    """Raise a RungError if git would read and write the files of another folder."""
    if answers(top, "rev-parse", "--is-bare-repository") == "true":
        raise RungError(
            f"{top} is set up as a bare repository (`core.bare`), so git has no files to work on.\n"
            "Run `git config --unset core.bare`, then run the command again."
        )
    shown = run(top, "rev-parse", "--show-toplevel").removesuffix("\n")
    if Path(shown).resolve() != top.resolve():
        raise RungError(
            f"The repository {top} keeps its files in {shown} (`core.worktree`).\n"
            "Run the command there, or run `git config --unset core.worktree`."
        )


def _refuse_partial(top: Path) -> None:
    """Raise a RungError for a partial clone; git from 2.47 on says so of the remote alone."""
    asked = ("config", "--name-only", "-z", "--get-regexp", PARTIAL)
    keys = [key for key in (answers(top, *asked) or "").split("\0") if key]
    if any(not key.endswith("filter") for key in keys):  # which alone means nothing
        forget = "".join(f"\n  git config --unset-all {shlex.quote(key)}" for key in keys)
        raise RungError(
            f"{top} is a partial clone, and what it lacks would have to be fetched.\n"
            f"Run these, then run the command again:\n  git fetch --refetch --no-filter{forget}"
        )
