"""Files that survive a kill at any moment: a reader finds the old content or the new, never a mix.

A draft, `.NAME.tmp`, takes the name of the file when all of it is on the disk. git, DVC and load() pass
over drafts.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from rung_ops.system import locks
from rung_ops.system.files import BINARY, NO_WAIT

DRAFT_FOLDER = ".new-"  # what the names of draft folders begin with


def draft_of(path: Path, writer: str = "") -> Path:
    """Find the draft of a file; writers of the same file without a lock need a name each."""
    return path.with_name(f".{path.name}{'.' if writer else ''}{writer}.tmp")


def write(path: Path, content: bytes) -> None:
    """Replace the content of a file; one writer at a time (see locks), as there is one draft."""
    draft = draft_of(path)
    # A new file: a link in its place would have another file overwritten, a pipe would make it wait.
    draft.unlink(missing_ok=True)
    _write(draft, content, os.O_EXCL)
    os.replace(draft, path)
    sync(path.parent)


@contextmanager
def writing(path: Path, writer: str = "", private: bool = False) -> Iterator[Path]:
    """Lend a draft to be written by its path; it replaces the file when the block ends.

    Where the block raises, or removes the draft, the file stays as it was.

    Args:
        path: the file; its folder exists.
        writer: a name that differs between processes that may write the file at the same time.
        private: the file is for its owner alone, from the first byte on, whatever the umask is. It
            exists, empty, before the block writes it.
    """
    draft = draft_of(path, writer)
    draft.unlink(missing_ok=True)
    if private:
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | BINARY, 0o600))
    try:
        yield draft
        if draft.exists():
            put(draft, path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Lend the open draft of a file, as writing() lends its path.

    Polars may create what it has the path of only after it has raised, and the draft would stay.
    """
    with writing(path) as draft, draft.open("wb") as file:
        yield file


def private_folder(folder: Path) -> None:
    """Make a folder for its owner alone; one that exists keeps its mode, which somebody chose."""
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)


def put(draft: Path, path: Path) -> None:
    """Bring a draft to the disk, then give it its name."""
    sync(draft)
    os.replace(draft, path)
    sync(path.parent)


def append(path: Path, content: bytes) -> None:
    """Add to the end of a file, and return when it is on the disk."""
    is_new = not path.exists()
    _write(path, content, os.O_APPEND | NO_WAIT)
    if is_new:
        sync(path.parent)


@contextmanager
def draft_folder(folder: Path) -> Iterator[Path]:
    """Lend a new folder inside a folder, and remove it afterwards.

    Those that killed processes left are removed too: a running one holds the lock of its own, in
    whatever container it runs. One that cannot be removed now is left so, as what was made in it
    may be in its place already.
    """
    with locks.locked(folder):
        for left in folder.glob(f"{DRAFT_FOLDER}*"):
            if (free := locks.try_lock(left / locks.LOCK)) is not None:
                os.close(free)
                shutil.rmtree(left)
        draft = Path(tempfile.mkdtemp(prefix=DRAFT_FOLDER, dir=folder))
        lock = locks.try_lock(draft / locks.LOCK)
        assert lock is not None, draft
    try:
        yield draft
    finally:
        # Locked, or another process would take it for left, and remove it too.
        with suppress(OSError, locks.LockTimeoutError), locks.locked(folder):
            os.close(lock)  # Windows removes no file that is open
            shutil.rmtree(draft)


def sync_tree(folder: Path) -> None:
    """Bring a folder with everything in it to the disk."""
    for path in folder.rglob("*"):
        sync(path)
    sync(folder)


def sync(path: Path) -> None:
    """Bring a file to the disk, or the names in a folder, which syncing its files does not."""
    if os.name == "nt" and path.is_dir():
        return  # Windows opens no folders, and writes their names by itself
    # Windows syncs only what is open for writing.
    descriptor = os.open(path, (os.O_RDWR if os.name == "nt" else os.O_RDONLY) | BINARY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(path: Path, content: bytes, flags: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | BINARY | flags, 0o644)
    try:
        while content:
            content = content[os.write(descriptor, content) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
