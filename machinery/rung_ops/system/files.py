"""Files that other processes read and write at the same time.

Reading: what others may have put there is read without waiting, within bounds, and only regular files.
Writing survives a kill at any moment: a reader finds the old content or the new, never a mix. A draft,
`.NAME.tmp`, takes the name of the file when all of it is on the disk. git, DVC and load() pass over drafts.
Locks: the kernel holds them and frees them when their last process ends.

- `locked(folder)` waits: for changes that take milliseconds.
- `try_lock(path)` answers at once: for work that takes minutes.
- `single_instance(folder, ...)` refuses, and says who holds it. Programs that the holder starts
  can inherit it: where the holder is killed and such a program goes on, the next run waits for it.
"""

import errno
import hashlib
import io
import json
import os
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from rung_ops.errors import OpsError
from rung_ops.system import processes

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)  # neither exists on Windows
NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # a pipe without a reader is an error, not a wait
BINARY = getattr(os, "O_BINARY", 0)  # of Windows only


class UnusableFileError(OSError):
    """A file that is a link, no regular file, or too large; the message says which."""


@contextmanager
def open_regular(path: Path, follow: bool = False) -> Iterator[io.BufferedReader]:
    """Open a regular file for reading. A pipe in its place is refused, not waited for.

    Args:
        path: the file.
        follow: accept a link to a regular file.
    """
    flags = os.O_RDONLY | NO_WAIT | BINARY | (0 if follow else _NO_FOLLOW)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UnusableFileError(f"{path} is a link") from error
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UnusableFileError(f"{path} is not a regular file")
        with open(descriptor, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)


def read_regular(path: Path, limit: int, follow: bool = False, start: int = 0) -> bytes:
    """Read a regular file.

    Args:
        path: the file.
        limit: a file with more bytes than this from `start` on is refused.
        follow: accept a link to a regular file.
        start: bytes at the beginning that are left out.
    """
    with open_regular(path, follow) as file:
        size = os.fstat(file.fileno()).st_size - start
        if size > limit:
            raise UnusableFileError(f"{path} is larger than {start + limit:,} bytes")
        file.seek(start)
        return file.read(max(size, 0))  # what is appended meanwhile is for the next time


def stamp(path: Path) -> tuple[int, int, int]:
    """Return what identifies a version of a file without reading it: number, time and size."""
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


FULL = (errno.ENOSPC, errno.EDQUOT)


def is_full(error: Exception) -> bool:
    """Tell whether something could not be written because the disk is full."""
    if isinstance(error, OSError) and error.errno in FULL:
        return True
    # Polars, SQLite, and shutil of many files raise errors of their own, which say it in words.
    words = [f"(os error {number})" for number in FULL] + [f"[Errno {number}]" for number in FULL]
    return any(word in str(error) for word in (*words, "database or disk is full"))


def md5(path: Path) -> str:
    """Hash a file's content, which is never whole in memory, as DVC and object stores do."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def sha256(path: Path) -> str:
    """Hash a regular file's content with SHA-256, in hexadecimal; OSError where it is none."""
    with open_regular(path) as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


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


DRAFT_FOLDER = ".new-"  # what the names of draft folders begin with


def draft_of(path: Path, writer: str = "") -> Path:
    """Find the draft of a file; writers of the same file without a lock need a name each."""
    return path.with_name(f".{path.name}{'.' if writer else ''}{writer}.tmp")


def write(path: Path, content: bytes) -> None:
    """Replace the content of a file; one writer at a time (see locked()), as there is one draft."""
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
    may be in its place already. git, DVC and load() pass over them as over other drafts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f"{DRAFT_FOLDER}*.tmp"):
        with suppress(OSError):  # another process removes it, or it is another user's
            if (free := try_lock(left / LOCK)) is not None:
                _remove(left, free)
    draft, lock = _new_draft_folder(folder)
    try:
        yield draft
    finally:
        _remove(draft, lock)


def _new_draft_folder(folder: Path) -> tuple[Path, int]:
    while True:
        draft = Path(tempfile.mkdtemp(prefix=DRAFT_FOLDER, suffix=".tmp", dir=folder))
        with suppress(FileNotFoundError):
            # Before it had the lock, another process may have taken it for left.
            if (lock := try_lock(draft / LOCK)) is not None:
                if os.fstat(lock).st_nlink:
                    return draft, lock
                os.close(lock)


def _remove(folder: Path, lock: int) -> None:
    if os.name == "nt":  # Windows removes no file that is open
        os.close(lock)
    with suppress(OSError):
        shutil.rmtree(folder)
    if os.name != "nt":
        os.close(lock)


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
