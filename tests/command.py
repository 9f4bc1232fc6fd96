"""Run the command `rung` as a person does: another process, its exit code and its words."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests import forked

RUNG = Path(sys.executable).with_name("rung")


def rung(
    *arguments: str | Path,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    program: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run `rung` with no terminal to ask on.

    Args:
        arguments: What follows `rung`.
        cwd: Where it runs; the current folder by default.
        environment: Variables to add.
        program: The program to start; by default `rung`: on Linux as a fork of a process
            that has loaded it.
    """
    complete = {**os.environ, **(environment or {})}
    if program is None and sys.platform == "linux":
        return forked.run(RUNG, [str(word) for word in arguments], cwd, complete)
    return subprocess.run(
        [program or RUNG, *arguments],
        cwd=cwd,
        env=complete,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def running(*arguments: str | Path) -> subprocess.Popen[bytes]:
    """Start `rung` to be stopped by a signal; its words come at the end, on stderr."""
    return subprocess.Popen(
        [RUNG, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        # A shell's background job hands down a SIGINT that is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder and return what it prints."""
    return subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()
