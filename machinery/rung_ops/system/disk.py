"""Errors of the disk, as opposed to errors of the content or its sender."""

import errno

FULL = (errno.ENOSPC, errno.EDQUOT)


def is_full(error: Exception) -> bool:
    """Tell whether something could not be written because the disk is full."""
    if isinstance(error, OSError) and error.errno in FULL:
        return True
    # Polars and SQLite raise errors of their own; those of Polars end in the number.
    return "database or disk is full" in str(error) or any(
        f"(os error {number})" in str(error) for number in FULL
    )
