"""What a machine lacks or has run out of, recognised in an error, and the remedy."""

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
# How programs name these in their output: by the C library's message, or by their own.
NAMES = {os.strerror(number): number for number in REMEDIES} | {
    "Out of diskspace": errno.ENOSPC,  # git, of a write that was cut short
    "File size limit exceeded": errno.EFBIG,  # the signal SIGXFSZ
}

# How uv and OpenSSL, and git, say that they do not trust a server's certificate.
DISTRUST = ("invalid peer certificate", "certificate verify failed", "CERTIFICATE_VERIFY_FAILED")
GIT_DISTRUSTS = ("SSL certificate problem", "server certificate verification failed")
GIT_CERTIFICATE = (
    "git does not trust the server's certificate: name the file of your company's with "
    "`git config --global http.sslCAInfo FILE`."
)
# How uv says that a server did not answer.
UNREACHED = ("error sending request", "dns error", "tcp connect error", "operation timed out")
DOCTOR = "`rung doctor` says what this machine lacks, and how to get it."


def remedy(error: BaseException) -> str:
    """Return what to do about an error from a shortage; an empty text for other errors."""
    number = errno.ENOMEM if isinstance(error, MemoryError) else getattr(error, "errno", None)
    return REMEDIES.get(number, "") if isinstance(number, int) else ""


def remedy_in(output: str) -> str:
    """Return what to do about a shortage, or an unreachable server, that a program's output names."""
    known = {name: REMEDIES[number] for name, number in NAMES.items()}
    known |= dict.fromkeys(GIT_DISTRUSTS, f"{GIT_CERTIFICATE} {DOCTOR}")
    known |= dict.fromkeys((*DISTRUST, *UNREACHED), DOCTOR)
    return next((advice for name, advice in known.items() if name in output), "")


def distrusts(output: str) -> bool:
    """Say whether a program does not trust the certificate of a server."""
    return any(message in output for message in DISTRUST)


def end(exit_code: int) -> str:
    """Say how a program that printed nothing ended: by which signal, or with which exit code."""
    if exit_code < 0:
        return f"ended by signal {-exit_code} ({signal.strsignal(-exit_code)})"
    return f"exit code {exit_code}"
