"""Read files that others may have put there: regular ones only, within bounds, without waiting."""

import errno
import hashlib
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
        with open(descriptor, "rb", closefd=False) as opened:
            yield opened
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
    with open_regular(path, follow) as opened:
        size = os.fstat(opened.fileno()).st_size - start
        if size > limit:
            raise UnusableFileError(f"{path} is larger than {start + limit:,} bytes")
        opened.seek(start)
        return opened.read(max(size, 0))  # what is appended meanwhile is for the next time


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
