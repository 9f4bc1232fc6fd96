"""Plain git, with the person's hooks and prompts off wherever Rung acts by itself."""

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from rung.errors import RungError

# Settings of the person's that would run programs, ask questions or hide files.
QUIET = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.excludesFile": os.devnull,
    "core.filesRefLockTimeout": "10000",  # ms: another Rung may be writing the same tag
    "commit.gpgSign": "false",
    "tag.gpgSign": "false",
    "log.showSignature": "false",  # it would run gpg.program
}
# The same where what the person's own file ignores counts as ignored by the project.
QUIET_AS_IGNORED = {name: value for name, value in QUIET.items() if name != "core.excludesFile"}
# Set while git runs a hook; they would lead git away from the folder it is started in.
ELSEWHERE = {
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_WORK_TREE",
}
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


def require() -> None:
    """Raise a RungError when git is not installed."""
    if shutil.which("git") is None:
        raise RungError(
            "git is not installed, or not on PATH. Rung keeps the template and every project in "
            "git.\nInstall git, then run the same command again."
        )


def environment() -> dict[str, str]:
    """Return the environment for git: this one, without what points it at another repository."""
    kept = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    return {**kept, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C.UTF-8"}


def run(
    folder: Path,
    *arguments: str,
    settings: Mapping[str, str] = QUIET,
    stdin: str = "",
    extra: Mapping[str, str] | None = None,
) -> str:
    """Run git in a folder and return what it prints; raise a RungError with its words if it fails.

    Args:
        folder: Where git runs.
        arguments: What follows `git`.
        settings: Configuration for this one call.
        stdin: What git reads.
        extra: Environment variables to add.
    """
    require()
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    done = subprocess.run(
        ["git", *options, *arguments],
        cwd=folder,
        env=environment() | dict(extra or {}),
        input=stdin.encode("utf-8", "surrogateescape"),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip() or f"exit code {done.returncode}"
        raise RungError(f"`git {arguments[0]}` failed in {folder}:\n{words}")
    return done.stdout.decode("utf-8", "surrogateescape")


def answers(folder: Path, *arguments: str, extra: Mapping[str, str] | None = None) -> str | None:
    """Return what git prints, stripped, or None when it fails."""
    try:
        return run(folder, *arguments, extra=extra).strip()
    except RungError:
        return None


def show(repository: Path, version: str, path: str) -> str | None:
    """Return a file as it stands in a version, or None when it is not there.

    The repository is named outright: git may be told to look for no bare one.
    """
    inside = repository / ".git"
    extra = {"GIT_DIR": str(inside if inside.exists() else repository)}
    return answers(repository, "show", f"{version}:{path}", extra=extra)


def repository_above(folder: Path) -> Path | None:
    """Return the nearest folder, from this one up, that is a git work tree."""
    absolute = folder.absolute()
    return next((up for up in (absolute, *absolute.parents) if os.path.lexists(up / ".git")), None)


def knows_me(folder: Path) -> bool:
    """Say whether git has a name and an address to commit with."""
    name = os.environ.get("GIT_AUTHOR_NAME") or answers(folder, "config", "user.name")
    email = os.environ.get("GIT_AUTHOR_EMAIL") or answers(folder, "config", "user.email")
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
    run(folder, "init", "--quiet")
    run(folder, "symbolic-ref", "HEAD", "refs/heads/main")
    return commit_all(folder, message)


def prefix(top: Path, folder: Path) -> str:
    """Return the path of a folder below its repository's root; nothing for the root itself."""
    below = folder.resolve().relative_to(top.resolve()).as_posix()
    return "" if below == "." else below


def blobs(said: str, oids: Iterable[str]) -> dict[str, bytes]:
    """Take apart what `cat-file --batch` printed of blobs that are all there, in this order."""
    stream, found, at = said.encode("utf-8", "surrogateescape"), {}, 0
    for oid in oids:
        head = stream.index(b"\n", at)
        size = int(stream[at:head].split()[2])
        found[oid] = stream[head + 1 : head + 1 + size]
        at = head + size + 2
    return found
