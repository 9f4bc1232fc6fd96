"""One climb at a time: a lock that ends with the processes that hold it, however they end."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from rung import git
from rung.errors import RungError

WAIT = 1.0  # seconds; what a git left alone by a killed climb needs to end
NAME = "rung.lock"


def shared_folder(top: Path) -> Path:
    """Return git's folder that all work trees of a repository share."""
    return (top / git.run(top, "rev-parse", "--git-common-dir").rstrip("\n")).resolve()


@contextlib.contextmanager
def held(top: Path, wait: float = WAIT) -> Iterator[int]:
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
