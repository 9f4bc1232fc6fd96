"""What is the disk's fault, and not that of what was read or of whoever sent it."""

import errno

FULL = (errno.ENOSPC, errno.EDQUOT)


def is_full(error: Exception) -> bool:
    """Tell whether something could not be written for want of room."""
    if isinstance(error, OSError) and error.errno in FULL:
        return True
    # Polars raises errors of its own, which end in the number.
    return any(f"(os error {number})" in str(error) for number in FULL)
