"""Runs of a repository's programs, within a time limit, from its environment or from PATH."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rung.system import process
from rung.system.printable import printable
from rung.system.process import begin

TAIL_BYTES = 20_000
TAIL_LINES = 20
MAX_LENGTH = 200  # characters of a line


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run: `passed`, `failed` or `timed out`, and the last lines of its output."""

    result: str
    seconds: float
    tail: tuple[str, ...]


def run(command: Sequence[str], folder: Path, seconds: float, extra: Mapping[str, str]) -> Outcome:
    """Run a command in a folder, and end it with all its children on a timeout or Ctrl-C."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as output:
        # In a process group of its own, so that its children can be ended with it.
        child = begin(command, folder, extra, output, apart=True)
        try:
            code = child.wait(seconds)
            result = "failed" if code else "passed"
        except subprocess.TimeoutExpired:
            result = "timed out"
        finally:
            _end(child)
        process.raise_lost_stop()
        return Outcome(result, time.monotonic() - started, _tail(output))


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
    lines = [printable(line)[:MAX_LENGTH] for line in text.splitlines() if line.strip()]
    return tuple(lines[-TAIL_LINES:])


class Tools:
    """The programs for running the commands of a copy, from a folder up to the copy's top."""

    def __init__(self, folder: Path, top: Path, seconds: float) -> None:
        self.folder = folder
        self.top = top
        self.seconds = seconds
        self.trouble: str | None = None  # why there is no environment
        self.synced = False

    def command(self, command: Sequence[str], project: bool) -> tuple[list[str], str]:
        """Return the arguments that start a command, or none and the reason why it cannot start."""
        name, *rest = command
        if project:
            self._sync()
            if self.trouble is None and self._in_environment(name):
                uv = process.uv()
                assert uv is not None
                return [uv, "run", "--quiet", "--no-sync", name, *rest], ""
        program = shutil.which(name)
        if program:
            return [program, *rest], ""
        reason = f"`{name}` is not on PATH"
        if project:
            trouble = self.trouble or "the project's environment has none"
            reason = f"{reason}, and {trouble}"
        return [], reason

    def _sync(self) -> None:
        if self.synced:
            return
        self.synced = True
        uv = process.uv()
        if uv is None:
            self.trouble = "uv, which would install it for the project, is not installed"
        elif not self._is_project():
            self.trouble = "there is no pyproject.toml from which uv would install it"
        else:
            outcome = run([uv, "sync", "--quiet"], self.folder, self.seconds, {})
            if outcome.result != "passed":
                last = outcome.tail[-1] if outcome.tail else "without output"
                self.trouble = f"`uv sync` {outcome.result}: {last}"

    def _is_project(self) -> bool:
        try:
            return "project" in tomllib.loads((self.folder / "pyproject.toml").read_text("utf-8"))
        except (OSError, ValueError, RecursionError):
            return False

    def _in_environment(self, name: str) -> bool:
        """Return whether the environment has a program; that of a workspace is at its top."""
        above = [self.folder, *self.folder.parents]
        inside = above[: above.index(self.top) + 1]
        programs = (f".venv/bin/{name}", f".venv/Scripts/{name}.exe")  # the latter on Windows
        return any((folder / program).exists() for folder in inside for program in programs)
