"""One pass at a time, and what a killed pass has left running is waited for."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rung_ops.system.locks import AlreadyRuns, alone

WHO = {"by": "Ada", "started": "2026-01-31T08:00:00+00:00"}


def started(folder: Path, work: str) -> "subprocess.Popen[str]":
    """Take the lock in another process; it says so when it has it."""
    code = (
        "import subprocess, sys, time\n"
        "from pathlib import Path\n"
        "from rung_ops.system.locks import alone\n"
        f"with alone(Path({str(folder)!r}), {WHO!r}, print) as lock:\n"
        "    print('has it', flush=True)\n"
        f"    {work}\n"
    )
    running = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    assert running.stdout.readline() == "has it\n"
    return running


def test_the_second_is_told_who_runs(tmp_path: Path) -> None:
    first = started(tmp_path, "time.sleep(60)")
    try:
        with (
            pytest.raises(AlreadyRuns, match=f"process {first.pid} .*started by Ada"),
            alone(tmp_path, WHO, print),
        ):
            pass
    finally:
        first.kill()
        first.wait()


def test_a_lock_is_free_when_its_process_was_killed(tmp_path: Path) -> None:
    first = started(tmp_path, "time.sleep(60)")
    first.send_signal(signal.SIGKILL)
    first.wait()

    with alone(tmp_path, WHO, print) as lock:
        assert os.fstat(lock)


def test_a_program_of_a_killed_pass_is_waited_for(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    program = f"import time, pathlib; time.sleep(1); pathlib.Path({str(mark)!r}).touch()"
    work = (
        f"subprocess.Popen([sys.executable, '-c', {program!r}], pass_fds=(lock,));"
        " print('began', flush=True); time.sleep(60)"
    )
    first = started(tmp_path, work)
    assert first.stdout is not None
    assert first.stdout.readline() == "began\n"
    first.send_signal(signal.SIGKILL)
    first.wait()
    said: list[str] = []

    with alone(tmp_path, WHO, said.append):
        assert mark.exists()

    assert "still runs: waiting for it" in said[0]
    assert len(said) == 1
