"""Run a program of a repository within a time, with all that it starts, and keep its last lines."""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rung.system.printable import printable
from rung.system.process import begin

TAIL_BYTES = 20_000
TAIL_LINES = 20
LONGEST = 200  # characters of a line


@dataclass(frozen=True)
class Done:
    """How a run went: `passed`, `failed` or `timed out`, its seconds, and the end of its output."""

    result: str
    seconds: float
    tail: tuple[str, ...]


def run(command: Sequence[str], folder: Path, seconds: float, extra: Mapping[str, str]) -> Done:
    """Run a command in a folder, and end all that it started when time is up or Ctrl-C comes.

    Args:
        command: the program and its arguments.
        folder: where it runs.
        seconds: of wall time, at most.
        extra: variables, besides those of the person.
    """
    started = time.monotonic()
    with tempfile.TemporaryFile() as output:
        # Apart, so that its children can be ended with it.
        child = begin(command, folder, extra, output, apart=True)
        try:
            code = child.wait(seconds)
            result = "failed" if code else "passed"
        except subprocess.TimeoutExpired:
            result = "timed out"
        finally:
            _end(child)
        return Done(result, time.monotonic() - started, _tail(output))


def _end(child: "subprocess.Popen[bytes]") -> None:
    """Kill a child and everything that it started."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    else:
        with contextlib.suppress(OSError):
            command = ["taskkill", "/F", "/T", "/PID", str(child.pid)]
            subprocess.run(command, capture_output=True, check=False)
        child.kill()
    child.wait()


def _tail(output: IO[bytes]) -> tuple[str, ...]:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - TAIL_BYTES))
    text = output.read().decode("utf-8", "replace")
    lines = [printable(line)[:LONGEST] for line in text.splitlines() if line.strip()]
    return tuple(lines[-TAIL_LINES:])
