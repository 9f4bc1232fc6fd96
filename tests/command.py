"""Run the command `rung` as a person does: another process, its exit code and its words."""

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from tests import forked

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # of a terminal

RUNG = Path(sys.executable).with_name("rung")


def rung(
    *arguments: str | Path,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    program: Path | None = None,
    expect: int | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run `rung` without a terminal; on Linux as a fork of a process that has loaded it."""
    complete = {**os.environ, **(environment or {})}
    if program is None and sys.platform == "linux":
        done = forked.run(RUNG, [str(word) for word in arguments], cwd, complete)
    else:
        done = subprocess.run(
            [program or RUNG, *arguments],
            cwd=cwd,
            env=complete,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    assert expect in (None, done.returncode), f"{done.returncode}: {done.stdout}{done.stderr}"
    return done


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


def stopped(
    process: subprocess.Popen[bytes], sent: signal.Signals, begun: Callable[[], object]
) -> tuple[int, bytes]:
    """Send a signal to a command once something has begun; return its exit code and words."""
    until = time.monotonic() + 60
    while not begun() and process.poll() is None:
        assert time.monotonic() < until, "it never began"
        time.sleep(0.002)
    process.send_signal(sent)
    _, output = process.communicate(timeout=60)
    return process.returncode, output


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder and return what it prints."""
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=True)
    return done.stdout.decode("utf-8", "surrogateescape").strip()


def commit(folder: Path, message: str = "Edit") -> str:
    """Commit everything and return the commit's id."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--no-verify", "--allow-empty", "-m", message)
    return git(folder, "rev-parse", "HEAD")


def init(folder: Path) -> Path:
    """Make a folder a repository with one commit of all that is in it."""
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder, "Start")
    return folder


def dialogue(
    *command: str | Path,
    keys: Iterable[tuple[str, str]],
    columns: int = 200,
    no_cpr: str = "1",
    output: Path | None = None,
    code: int = 0,
) -> str:
    """Run a command on a terminal, whose standard output may be a file; return what was shown.

    Args:
        keys: What is typed, and what is on the screen before more is; nothing where the command ends.
        no_cpr: Empty where the terminal answers where its cursor is; prompts are then drawn once more.
        code: Its exit code.
    """
    import pty
    import termios

    terminal, side = pty.openpty()
    termios.tcsetwinsize(side, (40, columns))
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    process = subprocess.Popen(
        command,
        stdin=side,
        stdout=output.open("wb") if output else side,
        stderr=side,
        start_new_session=True,
        env={**environment, "PROMPT_TOOLKIT_NO_CPR": no_cpr},
    )
    os.close(side)
    seen = ""
    try:
        for typed, shown in keys:
            os.write(terminal, typed.encode())
            before, until = len(seen), time.monotonic() + 60
            while not shown or shown not in seen[before:]:
                assert time.monotonic() < until, (
                    f"after {typed!r} the dialogue did not show {shown!r}: add a new question to the keys of "
                    f"this test. It showed: {ESCAPE.sub('', seen[before:])}"
                )
                if select.select([terminal], [], [], 1)[0]:
                    try:
                        seen += os.read(terminal, 4_096).decode(errors="replace")
                    except OSError:  # the command has ended
                        assert not shown, seen
                        assert process.wait(timeout=60) == code, seen
                        break
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
    return seen
