"""Files that survive a kill at any moment: one writer at a time, and no half-written state."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = ".lock"
PATIENCE = 10.0  # seconds; a change takes milliseconds, so a longer wait means a hung process
PAUSE = 0.01  # seconds between two tries
DRAFT = ".new-"  # what the names of drafts begin with


class Busy(Exception):
    """Another process has held the lock of a folder for too long; the message names it."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Be the only writer of a folder; the kernel frees the lock when the process ends.

    Raises:
        Busy: another process kept the lock for PATIENCE seconds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _wait_for(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def draft(folder: Path) -> Iterator[Path]:
    """Lend a new folder inside a folder, and take it away afterwards.

    Those that killed processes left go too: a living one holds the lock of its own, in whatever
    container it runs.
    """
    with locked(folder):
        for left in folder.glob(f"{DRAFT}*"):
            if (free := _held(left)) is not None:
                shutil.rmtree(left)
                os.close(free)
        made = Path(tempfile.mkdtemp(prefix=DRAFT, dir=folder))
        mine = _held(made)
        assert mine is not None, made
    try:
        yield made
    finally:
        with locked(folder):  # or somebody else would take it for left, and clear it away too
            shutil.rmtree(made)
        os.close(mine)


def replace(path: Path, content: bytes) -> None:
    """Put content in the place of a file: whoever reads finds the old or the new, never a mix.

    The caller holds the lock of the folder, so one name for the draft is enough, and a draft that
    a killed process left is written over.
    """
    draft = path.with_name(f".{path.name}.draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        _write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(draft, path)
    sync_folder(path.parent)


def append(path: Path, content: bytes) -> None:
    """Add to the end of a file, and return when it is on the disk."""
    new = not path.exists()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        _write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if new:
        sync_folder(path.parent)


def sync_tree(folder: Path) -> None:
    """Bring a folder with everything in it to the disk."""
    for path in folder.rglob("*"):
        sync_folder(path)
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, which syncing the files in it does not."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _held(folder: Path) -> int | None:
    """Lock a folder until this descriptor is closed; None where another process has done so."""
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _wait_for(descriptor: int, folder: Path) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise Busy(
                    f"Another process has been changing {folder} for {PATIENCE:.0f} s. "
                    f"`fuser {folder / LOCK}` names it; end it, and try again."
                ) from None
            time.sleep(PAUSE)


def _write(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]
