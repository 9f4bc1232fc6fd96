"""Record which modules of the library a process passes: Python imports this at its start.

A module is passed if one of its functions is called, other than by an import. FLOW names the file that a
process writes at its end, and at SIGUSR1; SIGUSR2 forgets what was called so far.
"""

import atexit
import os
import signal
import sys
import threading
from pathlib import Path
from types import CodeType, FrameType

FUNCTION = 1  # CO_OPTIMIZED of inspect, which bodies of modules and classes lack
LIBRARY = ("/rung_ops/", "/rung_governance/")
names: dict[CodeType, str] = {}
passed: set[str] = set()


def name_of(code: CodeType) -> str:
    """Return the path of a function of the library within it, or nothing."""
    for folder in LIBRARY:
        if code.co_flags & FUNCTION and folder in code.co_filename:
            return code.co_filename[code.co_filename.rindex(folder) + 1 :]
    return ""


def is_importing(frame: FrameType | None) -> bool:
    """Whether the body of a module other than the program is running."""
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") != "__main__":
            return True
        frame = frame.f_back
    return False


def record(frame: FrameType, event: str, _: object) -> None:
    """Record a call."""
    if event == "call":
        code = frame.f_code
        name = names.setdefault(code, name_of(code)) if code not in names else names[code]
        key = f"{threading.current_thread().name}\t{name}"
        if name and key not in passed and not is_importing(frame.f_back):
            passed.add(key)


def write(*_: object) -> None:
    """Write what was passed."""
    text = "".join(f"{key}\n" for key in sorted(passed))
    Path(f"{os.environ['FLOW']}.{os.getpid()}").write_text(text, "utf-8")


if "FLOW" in os.environ:
    atexit.register(write)
    signal.signal(signal.SIGUSR1, write)
    signal.signal(signal.SIGUSR2, lambda *_: passed.clear())
    threading.setprofile(record)
    sys.setprofile(record)
