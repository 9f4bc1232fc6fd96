"""One pass at a time: the kernel holds the lock, and frees it when the last process of it ends.

The programs that a step starts inherit the lock. So where a pass is killed and its training goes
on, the next run waits for that training instead of starting a second one beside it.
"""

import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PAUSE = 0.2  # seconds between two looks at what a killed pass has left running
PATIENCE = 3600.0  # seconds that it may go on


class AlreadyRuns(Exception):
    """Another pass is running; the message says whose."""


@contextmanager
def alone(folder: Path, who: dict[str, Any], say: Callable[[str], None]) -> Iterator[int]:
    """Hold the lock.

    Args:
        folder: of the journal.
        who: what others are told while this process holds it.
        say: prints a line.

    Yields:
        The lock's file descriptor, to be handed to the programs that are started.

    Raises:
        AlreadyRuns: somebody else holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not _taken(descriptor):
            _wait(descriptor, say)
        mine = who | {"process": os.getpid(), "host": socket.gethostname()}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(mine).encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait(descriptor: int, say: Callable[[str], None]) -> None:
    """Wait for the programs of a pass that was killed; refuse where the pass itself lives."""
    end = time.monotonic() + PATIENCE
    told = False
    while not _taken(descriptor):
        holder = _holder(descriptor)
        if holder is not None and _lives(holder):
            raise AlreadyRuns(
                f"The autopilot runs already: process {holder['process']} on {holder['host']}, "
                f"started by {holder['by']} at {holder['started']}. Nothing was done; let it "
                "finish."
            )
        if time.monotonic() > end:
            raise AlreadyRuns(
                "A pass was killed, and a program that it had started still runs after "
                f"{PATIENCE:.0f} s. End it, and try again."
            )
        if not told:
            say("A pass was killed, and a program that it had started still runs: waiting for it.")
            told = True
        time.sleep(PAUSE)


def _holder(descriptor: int) -> dict[str, Any] | None:
    try:
        found = json.loads(os.pread(descriptor, 4096, 0))
    except ValueError:  # it has the lock, and has not written who it is yet
        return None
    return found if isinstance(found, dict) and isinstance(found.get("process"), int) else None


def _lives(holder: dict[str, Any]) -> bool:
    if holder.get("host") != socket.gethostname():
        return True  # nobody can tell from here
    try:
        os.kill(holder["process"], 0)
    except OSError as error:
        return error.errno == errno.EPERM
    return True
