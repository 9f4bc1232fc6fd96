"""How much memory a process may still take, and how it keeps what it has freed."""

import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

M_ARENA_MAX = -8  # of glibc's malloc.h
MEMINFO = Path("/proc/meminfo")
# A container's limit and what it uses: control groups of version 2, then of version 1.
GROUPS = Path("/sys/fs/cgroup")
CONTAINER = (
    (GROUPS / "memory.max", GROUPS / "memory.current"),
    (GROUPS / "memory/memory.limit_in_bytes", GROUPS / "memory/memory.usage_in_bytes"),
)


def available() -> int | None:
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
