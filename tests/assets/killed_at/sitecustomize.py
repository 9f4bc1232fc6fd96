"""Kill a process and all that it started with it, at the moment at which one of them opens a file.

With this folder on PYTHONPATH, KILLED_AT names the file by a regular expression over its path, for
writing or to be replaced, and KILLED_ONCE a file that is made when it happens, so that it does
once. All that carry these variables die, as when a machine is switched off.
"""

import os
import re
import signal
import sys

WANTED = re.compile(os.environ.get("KILLED_AT") or r"(?!)")


def switch_off() -> None:
    """Kill every process that has this variable, the oldest first: tasks have sessions of their own."""
    mark = f"KILLED_ONCE={os.environ['KILLED_ONCE']}".encode()
    for process in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        try:
            with open(f"/proc/{process}/environ", "rb") as variables:
                wanted = mark in variables.read().split(b"\0")
            if wanted and process != os.getpid():
                os.kill(process, signal.SIGKILL)
        except OSError:
            pass
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at(event: str, details: tuple) -> None:
    if event == "open":
        path, mode, flags = details
        if not (flags or 0) & (os.O_WRONLY | os.O_RDWR) and not set(mode or "") & set("wax+"):
            return
    elif event == "os.rename":
        path = details[1]
    else:
        return
    if not isinstance(path, str | os.PathLike) or not WANTED.search(os.fspath(path)):
        return
    try:
        os.close(os.open(os.environ["KILLED_ONCE"], os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    switch_off()


if os.environ.get("KILLED_AT"):
    sys.addaudithook(kill_at)
