"""Start, stop and look for processes; the memory that this one may take, and what it keeps of it."""

import ctypes
import errno
import gc
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PAUSE = 0.1  # seconds between two checks whether a group has ended


def poe(*words: str, directory: Path | None = None) -> list[str]:
    """Return the command line of a task and its arguments.

    It runs in this Python environment as it is; `uv run` would first make one for the folder that it
    is called in. `directory` is that of the project or model; by default where the command is started.
    """
    where = () if directory is None else ("--directory", str(directory))
    return [sys.executable, "-m", "poethepoet", "--quiet", "--executor", "simple", *where, *words]


def is_running(process: int) -> bool:
    """Tell whether a process of this machine is running.

    On Windows, where asking means sending it a signal, the answer is always yes.
    """
    if os.name == "nt":
        return True
    try:
        os.kill(process, 0)
    except OSError as error:
        return error.errno == errno.EPERM
    return True


def stop(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    """Ask a process to end, and kill it where it has not ended after some seconds."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def stop_group(group: int, seconds: float) -> None:
    """Ask a group of processes to end, and kill it where it has not ended after some seconds.

    `group` is the id of the process that was started with `start_new_session`; ProcessLookupError if no such
    group is running.
    """
    if os.name == "nt":  # no groups: the process is ended with those that it started
        command = ["taskkill", "/F", "/T", "/PID", str(group)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            raise ProcessLookupError(group)
        return
    os.killpg(group, signal.SIGTERM)
    until = time.monotonic() + seconds
    while time.monotonic() < until and _group_runs(group):
        time.sleep(PAUSE)
    if _group_runs(group):
        os.killpg(group, signal.SIGKILL)


def _group_runs(group: int) -> bool:
    try:
        os.waitpid(group, os.WNOHANG)  # where it is a child of this very process
    except ChildProcessError:
        pass
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def free_port(host: str = "127.0.0.1") -> int:
    """Find a port that no process listens on."""
    with socket.socket() as opened:
        opened.bind((host, 0))
        return int(opened.getsockname()[1])


NOBODY_READS = 141  # exit code, as a shell has it for SIGPIPE


def quietly(run: Callable[[], int]) -> int:
    """Run and return the exit code; NOBODY_READS, and no traceback, where stdout was closed."""
    code = NOBODY_READS
    try:
        code = run()
        sys.stdout.flush()
    except BrokenPipeError:
        if not _stdout_is_closed():
            raise
        # Python flushes once more when it ends, and would print a traceback then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _stdout_is_closed() -> bool:
    """Tell whether the reader of stdout is gone; another pipe may have broken."""
    waiting = select.poll()
    waiting.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in waiting.poll(0))


M_ARENA_MAX = -8  # of glibc's malloc.h
MEMINFO = Path("/proc/meminfo")
# A container's limit and what it uses: control groups of version 2, then of version 1.
GROUPS = Path("/sys/fs/cgroup")
CONTAINER = (
    (GROUPS / "memory.max", GROUPS / "memory.current"),
    (GROUPS / "memory/memory.limit_in_bytes", GROUPS / "memory/memory.usage_in_bytes"),
)


def available_memory() -> int | None:
    """Return the bytes that are free, in the container where there is one; None if unknown."""
    known = (_of_machine(), *(_of_container(*files) for files in CONTAINER))
    return min(filter(None, known), default=None)


def keep_one_arena() -> None:
    """Let the threads of this process share one heap of glibc's; elsewhere nothing happens.

    A thread that allocates while another does would get a heap of its own otherwise, which keeps
    what is freed in it. Call it before there are threads.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
        if mallopt is not None:
            mallopt(M_ARENA_MAX, 1)


@contextmanager
def importing() -> Iterator[None]:
    """Collect no garbage while modules are imported, nor among what they leave.

    They stay, and to search their objects again and again takes an eighth of a verb's start.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        # Once: in a process that runs many verbs it would keep the garbage of those before.
        if not gc.get_freeze_count():
            gc.freeze()
        if was_enabled:
            gc.enable()


def _of_machine() -> int | None:
    try:
        for line in MEMINFO.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    try:  # macOS tells what it has, not what is free
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _of_container(limit: Path, used: Path) -> int | None:
    try:
        return max(int(limit.read_text("ascii")) - int(used.read_text("ascii")), 1)
    except (OSError, ValueError):  # none, or "max": no limit
        return None
