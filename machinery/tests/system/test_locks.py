"""A lock is held by the kernel: by one process at a time, and until its last process has ended."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rung_ops.errors import OpsError
from rung_ops.system import files
from rung_ops.system.files import single_instance

WHO = {"by": "Ada", "started": "2026-01-31T08:00:00+00:00"}


def started(folder: Path, work: str) -> "subprocess.Popen[str]":
    """Take the lock in another process; it says so when it has it."""
    code = (
        "import subprocess, sys, time\n"
        "from pathlib import Path\n"
        "from rung_ops.system.files import single_instance\n"
        f"with single_instance(Path({str(folder)!r}), {WHO!r}, print, 'The autopilot') as lock:\n"
        "    print('has it', flush=True)\n"
        f"    {work}\n"
    )
    running = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    assert running.stdout.readline() == "has it\n"
    return running


def test_the_second_instance_names_the_running_one(tmp_path: Path) -> None:
    first = started(tmp_path, "time.sleep(60)")
    try:
        with (
            pytest.raises(
                OpsError,
                match=f"is already running: process {first.pid} .*started by Ada",
            ),
            single_instance(tmp_path, WHO, print, "The autopilot"),
        ):
            pass
    finally:
        first.kill()
        first.wait()


def test_a_lock_is_free_when_its_process_was_killed(tmp_path: Path) -> None:
    first = started(tmp_path, "time.sleep(60)")
    first.send_signal(signal.SIGKILL)
    first.wait()

    with single_instance(tmp_path, WHO, print, "The autopilot") as lock:
        assert os.fstat(lock)


def test_a_program_of_a_killed_instance_is_waited_for(tmp_path: Path) -> None:
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
    messages: list[str] = []

    with single_instance(tmp_path, WHO, messages.append, "The autopilot"):
        assert mark.exists()

    assert "still running: waiting for it" in messages[0]
    assert len(messages) == 1


def test_a_file_is_locked_by_one_descriptor_at_a_time(tmp_path: Path) -> None:
    first = files.try_lock(tmp_path / "lock")
    assert first is not None

    assert files.try_lock(tmp_path / "lock") is None

    os.close(first)
    second = files.try_lock(tmp_path / "lock")
    assert second is not None
    os.close(second)


def test_a_writer_that_hangs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PATIENCE", 0.05)

    with (
        files.locked(tmp_path),
        pytest.raises(files.LockTimeoutError, match=r"fuser .*\.lock"),
        files.locked(tmp_path),
    ):
        pass


def test_no_module_imports_fcntl_before_it_locks() -> None:
    """It does not exist on Windows, where everything but the service's signals can work."""
    folder = Path(files.__file__).parents[1]
    modules = [path for path in folder.rglob("*.py") if "fcntl" in path.read_text("utf-8")]

    assert modules == [Path(files.__file__)]
    lines = modules[0].read_text("utf-8").splitlines()
    assert [line for line in lines if line.startswith(("import fcntl", "from fcntl"))] == []


def test_windows_locks_a_byte_behind_the_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A double, as Windows' own module exists nowhere else."""
    calls: list[tuple[int, int]] = []

    class Msvcrt:
        LK_NBLCK = 2

        @staticmethod
        def locking(descriptor: int, mode: int, size: int) -> None:
            calls.append((os.lseek(descriptor, 0, os.SEEK_CUR), size))
            if len(calls) > 1:
                raise PermissionError(13, "Permission denied")

    monkeypatch.setitem(sys.modules, "msvcrt", Msvcrt)  # type: ignore[arg-type]
    (tmp_path / "lock").touch()
    descriptor = os.open(tmp_path / "lock", os.O_RDWR)
    with monkeypatch.context() as windows:
        windows.setattr(os, "name", "nt")
        answers = (files._try_lock(descriptor), files._try_lock(descriptor))
    os.close(descriptor)

    assert answers == (True, False)
    assert calls == [(files.WINDOWS_BYTE, 1)] * 2
