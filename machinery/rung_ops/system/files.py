"""Read files that others may have put there: regular ones only, within bounds, without waiting."""

import errno
import os
import stat
from pathlib import Path

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)  # neither exists on Windows
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)
_BINARY = getattr(os, "O_BINARY", 0)  # of Windows only


class UnusableFileError(OSError):
    """A file that is a link, no regular file, or too large; the message says which."""


def read_regular(path: Path, most: int, follow: bool = False, start: int = 0) -> bytes:
    """Read a regular file.

    Args:
        path: the file. A pipe in its place is refused, not waited for.
        most: a file with more bytes than this from `start` on is refused unread.
        follow: accept a link to a regular file.
        start: bytes at the beginning that are left out.

    Raises:
        UnusableFileError: it is a link, no regular file, or too large.
        OSError: it is missing, or cannot be read.
    """
    flags = os.O_RDONLY | _NO_WAIT | _BINARY | (0 if follow else _NO_FOLLOW)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UnusableFileError(f"{path} is a link") from error
        raise
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise UnusableFileError(f"{path} is not a regular file")
        # A sparse file is refused by its size, and one that grows meanwhile by what was read.
        content = None
        if about.st_size - start <= most:
            with open(descriptor, "rb", closefd=False) as opened:
                opened.seek(start)
                content = opened.read(most + 1)
    finally:
        os.close(descriptor)
    if content is None or len(content) > most:
        raise UnusableFileError(f"{path} is larger than {start + most:,} bytes")
    return content


def stamp(path: Path) -> tuple[int, int, int]:
    """Tell a file from what stood there before, without reading it: its number, time and size.

    Raises:
        OSError: it is missing, or cannot be reached.
    """
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size
