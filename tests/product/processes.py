"""Programs that a test starts beside itself, each in a group of processes of its own."""

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import Any


def start_process(
    command: list[str], folder: Path, log: Path, variables: dict[str, str]
) -> "subprocess.Popen[bytes]":
    """Start a server in a group of processes of its own; what it says goes to a log."""
    with log.open("ab") as written:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def end_group(process: "subprocess.Popen[Any]", how: signal.Signals = signal.SIGKILL) -> None:
    """End a program and those that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, how)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=30)
    # Its workers may outlive it, and hold its port.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=30)
