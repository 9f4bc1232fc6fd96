"""Processes are asked to end, and killed where they do not."""

import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from rung_ops.system import processes

READY = "print('ready', flush=True); "
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "


def started(code: str, **named: bool) -> "subprocess.Popen[bytes]":
    running = subprocess.Popen(
        [sys.executable, "-c", code + READY + "time.sleep(60)"], stdout=subprocess.PIPE, **named
    )
    assert running.stdout is not None
    assert running.stdout.readline() == b"ready\n"
    return running


@pytest.mark.parametrize(
    ("code", "expected"), [("import time; ", signal.SIGTERM), (STUBBORN, signal.SIGKILL)]
)
def test_a_process_ends(code: str, expected: signal.Signals) -> None:
    process = started(code)
    assert processes.is_running(process.pid)

    processes.stop(process, 60 if expected == signal.SIGTERM else 0.1)

    assert process.returncode == -expected
    assert not processes.is_running(process.pid)


def test_a_group_ends_with_its_children() -> None:
    child = f"subprocess.Popen([sys.executable, '-c', {STUBBORN + 'time.sleep(60)'!r}]); "
    process = started("import subprocess, sys, time; " + child, start_new_session=True)

    processes.stop_group(process.pid, 0.1)

    process.wait()
    assert process.stdout is not None
    assert process.stdout.read() == b""  # the end: the child, which has the pipe too, has ended


@pytest.mark.parametrize("code", [0, 128])
def test_on_windows_a_process_ends_with_those_that_it_started(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taskkill = tmp_path / "taskkill"
    taskkill.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\nexit {code}\n', "utf-8")
    taskkill.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(processes, "os", SimpleNamespace(name="nt"))

    with pytest.raises(ProcessLookupError) if code else nullcontext():
        processes.stop_group(123, 1)

    assert "/F /T /PID 123\n" == (tmp_path / "asked").read_text("utf-8")
