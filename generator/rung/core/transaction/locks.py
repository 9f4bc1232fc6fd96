"""The lock of a climb, which ends with the processes that hold it, and git's own lock files."""

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from rung.errors import RungError
from rung.system import git

WAIT = 1.0  # seconds; what a git left alone by a killed climb needs to end
NAME = "rung.lock"
PATIENCE = 2.0  # seconds in which some other git may still be using what it has locked
LOCKED = ("index", "HEAD", "ORIG_HEAD", "packed-refs")  # what a fast-forward locks


def shared_folder(top: Path) -> Path:
    """Return git's folder that all work trees of a repository share."""
    return (top / git.run(top, "rev-parse", "--git-common-dir").rstrip("\n")).resolve()


@contextlib.contextmanager
def acquired(top: Path, wait: float = WAIT) -> Iterator[int]:
    """Hold the lock of a repository; give its descriptor, which a child keeps it with.

    Raises:
        RungError: Somebody else holds it.
    """
    try:
        import fcntl
    except ImportError as error:
        raise RungError(
            "This system lacks the file locks that keep a climb from being undone by another one.\n"
            "Run the command on Linux or macOS, or on Windows in its Subsystem for Linux (WSL)."
        ) from error

    file = shared_folder(top) / NAME
    try:
        descriptor = os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise RungError(
            f"{file} cannot be written: {error.strerror}. Nothing was touched."
        ) from error
    try:
        deadline = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise RungError(
                        f"Another climb is under way in {top}. Nothing was touched.\n"
                        "Wait for its end, then run the command again."
                    ) from error
                time.sleep(0.02)
        yield descriptor
    finally:
        os.close(descriptor)


def refuse_git(top: Path) -> None:
    """Raise a RungError if another git holds what a fast-forward needs, and does not let go.

    So a lock that exists once a climb has begun is the climb's own.
    """
    for file in _files(top, _locked(top)):
        deadline = time.monotonic() + PATIENCE
        while file.exists():
            if time.monotonic() > deadline:
                raise RungError(
                    f"Another git is at work in {top}, or was stopped there: {file} exists.\n"
                    "Nothing was touched. Wait for its end; if none runs, delete that file. "
                    "Then run the command again."
                )
            time.sleep(0.02)


def clear_git(top: Path, names: Iterable[str] | None = None, patience: float = PATIENCE) -> None:
    """Remove the locks that a killed git left; one that may be in use is waited for, in seconds."""
    for file in _files(top, _locked(top) if names is None else names):
        deadline = time.monotonic() + patience
        with contextlib.suppress(FileNotFoundError):
            while time.time() - file.stat().st_mtime < patience and time.monotonic() < deadline:
                time.sleep(0.05)
            file.unlink()


def _locked(top: Path) -> list[str]:
    branch = git.answers(top, "symbolic-ref", "--quiet", "HEAD")
    return [*LOCKED, *([branch] if branch else [])]


def _files(top: Path, names: Iterable[str]) -> list[Path]:
    """Return the lock files of these names, asked for at once; a folder's name may have two lines."""
    asked = [("--git-path", f"{name}.lock") for name in names]
    together = git.run(top, "rev-parse", *(word for pair in asked for word in pair))
    lines = together.removesuffix("\n").split("\n")
    if len(lines) != len(asked):
        lines = [git.run(top, "rev-parse", *pair).removesuffix("\n") for pair in asked]
    return [top / line for line in lines]
