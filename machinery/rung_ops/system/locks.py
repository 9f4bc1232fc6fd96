"""Locks between processes. The kernel holds them and frees them when their last process ends.

- `locked(folder)` waits: for changes that take milliseconds.
- `try_lock(path)` answers at once: for work that takes minutes.
- `single_instance(folder, ...)` refuses, and says who holds it. Programs that the holder starts
  can inherit it: where the holder is killed and such a program goes on, the next run waits for it.
"""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rung_ops.errors import OpsError
from rung_ops.system import processes
from rung_ops.system.files import BINARY

LOCK = ".lock"  # the file in a folder that locked() locks
PATIENCE = 10.0  # seconds; a change takes milliseconds, so a longer wait means a hung process
PAUSE = 0.01  # seconds between two tries
INSTANCE_PATIENCE = 3600.0  # seconds that a program of a killed instance may go on
INSTANCE_PAUSE = 0.2  # seconds between two tries
WINDOWS_BYTE = 1 << 30  # Windows locks bytes; this one is unused, far behind the content


class LockTimeoutError(OpsError):
    """Another process has held the lock of a folder for too long; the message names it."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Be the only writer of a folder; wait until the present one has finished, PATIENCE seconds at most."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = _open(folder / LOCK)
    try:
        end = time.monotonic() + PATIENCE
        while not _try_lock(descriptor):
            if time.monotonic() > end:
                raise LockTimeoutError(
                    f"Another process has been changing {folder} for {PATIENCE:.0f} s. "
                    f"`fuser {folder / LOCK}` names it; end it, and try again."
                )
            time.sleep(PAUSE)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def single_instance(
    folder: Path, holder: dict[str, Any], say: Callable[[str], None], program: str
) -> Iterator[int]:
    """Be the only running instance of a program.

    Args:
        folder: that contains the file `lock`.
        holder: `by` and `started`, shown to others while this process holds the lock.
        say: prints a line.
        program: its name, for messages.

    Yields:
        The lock's file descriptor. Hand it to the programs that are started (`pass_fds`).
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = _open(folder / "lock")
    try:
        _wait_for_programs(descriptor, say, program)
        content = holder | {"process": os.getpid(), "host": socket.gethostname()}
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, json.dumps(content).encode())
        yield descriptor
    finally:
        os.close(descriptor)


def try_lock(path: Path) -> int | None:
    """Lock a file until the returned descriptor is closed; None where another process holds it."""
    descriptor = _open(path)
    if _try_lock(descriptor):
        return descriptor
    os.close(descriptor)
    return None


def _wait_for_programs(descriptor: int, say: Callable[[str], None], program: str) -> None:
    """Wait for the programs of an instance that was killed; refuse where the instance lives."""
    end = time.monotonic() + INSTANCE_PATIENCE
    was_told = False
    while not _try_lock(descriptor):
        holder = _holder(descriptor)
        # Only the holder's own machine can tell whether it lives.
        if holder is not None and (
            holder.get("host") != socket.gethostname() or processes.is_running(holder["process"])
        ):
            raise OpsError(
                f"{program} is already running: process {holder['process']} on {holder['host']}, "
                f"started by {holder['by']} at {holder['started']}. Nothing was done; let it "
                "finish."
            )
        left = f"{program} was killed, and a program that it had started is still running"
        if time.monotonic() > end:
            raise OpsError(f"{left} after {INSTANCE_PATIENCE:.0f} s. End it, and try again.")
        if not was_told:
            say(f"{left}: waiting for it.")
            was_told = True
        time.sleep(INSTANCE_PAUSE)


def _holder(descriptor: int) -> dict[str, Any] | None:
    os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        content = json.loads(os.read(descriptor, 4096))
    except ValueError:  # it has the lock, and has not written who it is yet
        return None
    is_known = isinstance(content, dict) and isinstance(content.get("process"), int)
    return content if is_known else None


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | BINARY, 0o644)


def _try_lock(descriptor: int) -> bool:
    # Imported here: one of them exists on Windows, the other one everywhere else.
    if os.name == "nt":
        import msvcrt

        os.lseek(descriptor, WINDOWS_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
