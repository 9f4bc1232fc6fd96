"""Let Rung's own modules see what Windows has: `install()` before the first of them is imported.

Modules that Windows lacks cannot be imported, and of `os` and `signal` is missing what it lacks there;
`os.name` and `sys.platform` say Windows. Only Rung's modules see this: Python's and those of others
do their work as on any system, since they have to do it here.
"""

import builtins
import os
import signal
import sys
import types
from collections.abc import Mapping, Sequence
from typing import Any

OURS = ("rung", "rung_ops")
MODULES = {
    *("fcntl", "resource", "termios", "pwd", "grp", "posix", "pty", "tty", "syslog", "curses"),
    *("readline", "uvloop"),
}
# Python's documentation says of each: not on Windows.
OF_OS = {
    *("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_DIRECTORY", "O_SYNC", "O_DSYNC", "WNOHANG"),
    *("getuid", "geteuid", "getgid", "getegid", "getgroups", "setuid", "setgid", "setsid", "getsid"),
    *("fork", "forkpty", "killpg", "getpgid", "setpgid", "wait3", "wait4", "WIFSIGNALED", "WTERMSIG"),
    *("chown", "fchown", "lchown", "fchmod", "mkfifo", "mknod", "statvfs", "fstatvfs", "sync"),
    *("pread", "preadv", "pwrite", "pwritev", "sendfile", "uname", "getloadavg", "nice", "sysconf"),
    *("sched_getaffinity", "sched_setaffinity", "posix_fadvise", "posix_fallocate", "fdatasync"),
    *("openpty", "ttyname", "getxattr", "setxattr", "ctermid", "chroot", "fchdir", "register_at_fork"),
}
OF_SIGNAL = {
    *("SIGKILL", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGCHLD", "SIGPIPE"),
    *("SIGCONT", "SIGSTOP", "SIGTSTP", "SIGXFSZ", "SIGXCPU", "SIGTTOU", "SIGWINCH"),
    *("alarm", "setitimer", "pthread_sigmask", "sigwait", "pause", "siginterrupt"),
}


class AsOnWindows(types.ModuleType):
    """A module without some of its names, and with others of Windows."""

    def __init__(self, real: types.ModuleType, missing: set[str], message: Mapping[str, Any]) -> None:
        super().__init__(real.__name__)
        self.__dict__.update(_real=real, _missing=missing, **message)

    def __getattr__(self, name: str) -> Any:
        if name in self._missing:
            raise AttributeError(f"{self.__name__} has no {name} on Windows")
        return getattr(self._real, name)


def _locking(descriptor: int, mode: int, size: int) -> None:
    """Lock nothing: who runs beside another is not what is tried."""


MSVCRT = types.ModuleType("msvcrt")
MSVCRT.__dict__.update(locking=_locking, LK_LOCK=1, LK_NBLCK=2, LK_UNLCK=0)
SEEN = {
    "os": AsOnWindows(os, OF_OS, {"name": "nt", "O_BINARY": 0}),
    "signal": AsOnWindows(signal, OF_SIGNAL, {}),
    "sys": AsOnWindows(sys, set(), {"platform": "win32"}),
    "msvcrt": MSVCRT,
}
imported = builtins.__import__


def _import(
    name: str,
    globals: Mapping[str, Any] | None = None,
    locals: Mapping[str, Any] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> types.ModuleType:
    asking = str((globals or {}).get("__name__", ""))
    top = name.partition(".")[0]
    if level == 0 and asking.partition(".")[0] in OURS:
        if top in MODULES:
            raise ModuleNotFoundError(f"{asking} imports {name}, which Windows lacks", name=name)
        if name in SEEN:
            return SEEN[name]
    return imported(name, globals, locals, fromlist or (), level)


def install() -> None:
    """Begin: modules that were imported before see this system as it is."""
    builtins.__import__ = _import
