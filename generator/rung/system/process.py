"""Run a program with a sign that it runs, and with its output only if it fails."""

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import IO

from rung.errors import NotDoneError
from rung.system import shortage
from rung.system.git import ELSEWHERE

# Variables that would make a child use Rung's environment, or compile its modules at every start.
RUNGS_OWN = ("VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PYTEST_ADDOPTS")
FRAMES = "|/-\\"
# What uv prints if `exclude-newer` leaves no version of a package (decision 5).
TOO_NEW = ("is missing an upload date", "was filtered by `exclude-newer`")
NO_DAYS = (
    "Packages newer than the day of `exclude-newer` under [tool.uv] in pyproject.toml are not taken. "
    "Where your package index gives no upload dates, as many company mirrors do not, that excludes "
    "every package. Set a later day, or delete the line where your index has no dates; uv.lock still "
    "says what is installed."
)
HEARTBEAT = 10.0  # seconds between lines where no spinner can be shown
_received: list[int] = []  # the signals that have stopped this command


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for a program of a project, free of Rung's own and of a git hook's."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in RUNGS_OWN and name not in ELSEWHERE and not name.startswith("UV_PROJECT")
    }
    return {**kept, **(extra or {})}


def uv() -> str | None:
    """Return the path of the uv that started Rung, or else of the one on PATH."""
    return os.environ.get("UV") or shutil.which("uv")


def begin(
    command: Sequence[str],
    folder: Path,
    extra: Mapping[str, str] | None,
    output: IO[bytes],
    *,
    apart: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a program without input that prints into a file; `apart` gives it its own session."""
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment(extra),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=apart,
    )


def run(
    title: str, command: Sequence[str], folder: Path, extra: Mapping[str, str] | None = None
) -> float:
    """Run a program to its end and return the seconds it took.

    Raises:
        NotDoneError: It failed; its output is printed first.
    """
    started = time.monotonic()
    code, output = attempt(title, command, folder, extra)
    if code:
        show_failure(output)
        raise NotDoneError(
            f"`{' '.join(command)}` failed in {folder} with exit code {code}; "
            f"its output is above. {shortage.remedy_in(output)}".rstrip()
        )
    return finished(title, started)


def show_failure(output: str) -> None:
    """Print what a program that failed has printed."""
    print(output, file=sys.stderr)
    if too_new(output):
        print(NO_DAYS, file=sys.stderr)


def finished(title: str, started: float) -> float:
    """Print and return how long a step has taken."""
    seconds = time.monotonic() - started
    print(f"  {title}: {seconds:.1f} s", flush=True)
    return seconds


def too_new(output: str) -> bool:
    """Say whether uv excluded all versions of a package by their day (decision 5)."""
    return any(message in output for message in TOO_NEW)


def attempt(
    title: str, command: Sequence[str], folder: Path, extra: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Run a program to its end; return its exit code and what it printed."""
    with tempfile.TemporaryFile() as output:
        child = begin(command, folder, extra, output)
        try:
            _watch(child, title, time.monotonic())
            raise_lost_stop()
        except BaseException:
            child.terminate()
            child.wait()
            raise
        output.seek(0)
        return child.returncode, output.read().decode(errors="replace")


def _watch(child: "subprocess.Popen[bytes]", title: str, started: float) -> None:
    turning = sys.stdout.isatty()
    if not turning:
        print(f"  {title} ...", flush=True)
    for frame in itertools.cycle(FRAMES):
        try:
            child.wait(0.1 if turning else HEARTBEAT)
            break
        except subprocess.TimeoutExpired:
            seconds = time.monotonic() - started
            if turning:
                print(f"\r  {frame} {title}: {seconds:.0f} s", end="", flush=True)
            else:
                print(f"  {title}: still running after {seconds:.0f} s", flush=True)
    if turning:
        print("\r\033[K", end="", flush=True)


@contextlib.contextmanager
def stopped_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM and SIGHUP clean up as Ctrl-C does."""

    def stop(number: int, frame: FrameType | None) -> None:
        _received.append(number)
        raise KeyboardInterrupt

    try:
        before = {
            number: signal.signal(number, stop)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        }
    except (ValueError, AttributeError):  # not in the main thread; no SIGHUP on this system
        before = {}
    try:
        yield
        raise_lost_stop()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _received.clear()


def raise_lost_stop() -> None:
    """Raise KeyboardInterrupt again if Python ignored it, as it does in a finalizer.

    Call it after a long step, and before a step that cannot be undone.
    """
    if _received:
        raise KeyboardInterrupt
