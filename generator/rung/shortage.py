"""What a machine has run out of: told from an error, with what to do about it."""

import errno
import os
import signal

ROOM = "or set TMPDIR and RUNG_CACHE_DIR to folders on another disk"
REMEDIES = {
    errno.ENOSPC: f"Make room on that disk, {ROOM}.",
    errno.EDQUOT: f"Make room within your quota, {ROOM}.",
    errno.EFBIG: "The size of files is limited here. Raise the limit: `ulimit -f unlimited`.",
    errno.EMFILE: "The number of open files is limited here. Raise the limit: `ulimit -n 1024`.",
    errno.ENFILE: "All programs together have too many files open. End some of them.",
    errno.ENOMEM: "Memory is used up or limited here. End other programs, or see `ulimit -v`.",
    errno.EAGAIN: "Too many processes run, or `ulimit -u` allows too few.",
}
# How programs name these in their output: in the words of the C library, or in their own.
NAMES = {os.strerror(number): number for number in REMEDIES} | {
    "Out of diskspace": errno.ENOSPC,  # git, of a write that was cut short
    "File size limit exceeded": errno.EFBIG,  # the signal SIGXFSZ
}


def remedy(error: BaseException) -> str:
    """Return what to do about an error that a shortage causes, or nothing for any other one."""
    number = errno.ENOMEM if isinstance(error, MemoryError) else getattr(error, "errno", None)
    return REMEDIES.get(number, "") if isinstance(number, int) else ""


def remedy_in(output: str) -> str:
    """Return the same where the output of a program names a shortage."""
    return next((REMEDIES[number] for name, number in NAMES.items() if name in output), "")


def end(exit_code: int) -> str:
    """Say how a program ended that printed nothing: by which signal, or with which exit code."""
    if exit_code < 0:
        return f"ended by signal {-exit_code} ({signal.strsignal(-exit_code)})"
    return f"exit code {exit_code}"
