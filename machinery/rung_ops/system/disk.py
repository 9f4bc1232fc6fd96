"""Errors of the disk, as opposed to errors of the content or its sender."""

import errno

FULL = (errno.ENOSPC, errno.EDQUOT)


def is_full(error: Exception) -> bool:
    """Tell whether something could not be written because the disk is full."""
    if isinstance(error, OSError) and error.errno in FULL:
        return True
    # Polars raises errors of its own, which end in the number.
    return any(f"(os error {number})" in str(error) for number in FULL)
