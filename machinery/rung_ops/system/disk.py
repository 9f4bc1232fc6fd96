"""Errors of the disk, as opposed to errors of the content or its sender."""

import errno

FULL = (errno.ENOSPC, errno.EDQUOT)


def is_full(error: Exception) -> bool:
    """Tell whether something could not be written because the disk is full."""
    if isinstance(error, OSError) and error.errno in FULL:
        return True
    # Polars, SQLite, and shutil of many files raise errors of their own, which say it in words.
    words = [f"(os error {number})" for number in FULL] + [f"[Errno {number}]" for number in FULL]
    return any(word in str(error) for word in (*words, "database or disk is full"))
