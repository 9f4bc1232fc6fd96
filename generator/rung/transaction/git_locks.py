"""Git's own lock files: another git's are waited for, and those of a killed one are cleared away."""

import contextlib
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from rung import git
from rung.errors import RungError
from rung.transaction import journal

PATIENCE = 2.0  # seconds in which some other git may still be using what it has locked
OURS = (journal.BEFORE, journal.PENDING, journal.CRASH)
MOVED = ("index", "HEAD", "ORIG_HEAD", "packed-refs")  # what a fast-forward locks


def refuse(top: Path) -> None:
    """Raise a RungError if another git holds what a fast-forward needs, and does not let go.

    So a lock that stands once a climb has begun is the climb's own.
    """
    for file in _files(top, _moved(top)):
        deadline = time.monotonic() + PATIENCE
        while file.exists():
            if time.monotonic() > deadline:
                raise RungError(
                    f"Another git is at work in {top}, or was stopped there: {file} stands.\n"
                    "Nothing was touched. Wait for its end; if none runs, delete that file. "
                    "Then run the command again."
                )
            time.sleep(0.02)


def clear(top: Path, names: Iterable[str] | None = None, patience: float = PATIENCE) -> None:
    """Remove the locks that a killed git left; one that may be in use is waited for, in seconds."""
    for file in _files(top, _moved(top) if names is None else names):
        deadline = time.monotonic() + patience
        with contextlib.suppress(FileNotFoundError):
            while time.time() - file.stat().st_mtime < patience and time.monotonic() < deadline:
                time.sleep(0.05)
            file.unlink()


def _moved(top: Path) -> list[str]:
    branch = git.answers(top, "symbolic-ref", "--quiet", "HEAD")
    return [*MOVED, *([branch] if branch else [])]


def _files(top: Path, names: Iterable[str]) -> Iterator[Path]:
    for name in names:
        yield top / git.run(top, "rev-parse", "--git-path", f"{name}.lock").rstrip("\n")
