"""A lock on a file or a folder, released by the system when the last process that holds it ends.

Not the package filelock (decision 60): a climb passes its lock on to git, so that a git that outlives a
killed Rung still keeps other climbs out, and readers of the cache of renders share a lock. The first needs
the descriptor, which filelock hides; for the second, filelock needs a database.
"""

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def held(
    path: Path, *, folder: bool = False, shared: bool = False, wait: float | None = None
) -> Iterator[int]:
    """Hold a lock, and yield its descriptor; a child that inherits it holds the lock, too.

    Args:
        path: A file, which is created if it is missing, or a folder.
        folder: Whether it is a folder, which is never created.
        shared: Whether other processes may share it.
        wait: Seconds to wait for the lock; None: until it is free.

    Raises:
        BlockingIOError: Another process holds it.
        OSError: The path cannot be opened, or the system or its file system has no such locks.
    """
    try:
        import fcntl
    except ImportError as error:  # Windows
        raise OSError(errno.ENOTSUP, "this system has no such file locks") from error
    flags = os.O_RDONLY | os.O_DIRECTORY if folder else os.O_CREAT | os.O_RDWR
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o644)
    try:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        if wait is None:
            fcntl.flock(descriptor, kind)
        else:
            _wait_for(lambda: fcntl.flock(descriptor, kind | fcntl.LOCK_NB), wait)
        yield descriptor
    finally:
        os.close(descriptor)


def _wait_for(attempt: Callable[[], None], wait: float) -> None:
    deadline = time.monotonic() + wait
    while True:
        try:
            return attempt()
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
