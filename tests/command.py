"""Run the command `rung` as a person does: another process, its exit code and its words."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests import forked

RUNG = Path(sys.executable).with_name("rung")


def rung(
    *arguments: str | Path,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    program: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run `rung` without a terminal; on Linux as a fork of a process that has loaded it."""
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
    return subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


class Typist:
    """Somebody at a terminal on which a command runs."""

    def __init__(self, *command: str | Path, columns: int = 200, no_cpr: str = "1") -> None:
        import pty
        import termios

        self.terminal, side = pty.openpty()
        termios.tcsetwinsize(side, (40, columns))
        self.process = subprocess.Popen(
            command,
            stdin=side,
            stdout=side,
            stderr=side,
            start_new_session=True,
            # Without answers to where the cursor is, after which prompts are drawn once more.
            env={**os.environ, "COLUMNS": str(columns), "PROMPT_TOOLKIT_NO_CPR": no_cpr},
        )
        os.close(side)
        self.seen = ""

    def type(self, keys: str, shown: str = "") -> None:
        """Press keys, and wait until something new is on the screen; without it, until the end."""
        os.write(self.terminal, keys.encode())
        before, until = len(self.seen), time.monotonic() + 60
        while not shown or shown not in self.seen[before:]:
            assert time.monotonic() < until, self.seen
            if select.select([self.terminal], [], [], 1)[0]:
                try:
                    read = os.read(self.terminal, 4_096).decode(errors="replace")
                except OSError:  # the command has ended
                    assert not shown, self.seen
                    self.process.wait(timeout=60)
                    break
                self.seen += read


@contextmanager
def typing(*command: str | Path, columns: int = 200, no_cpr: str = "1") -> Iterator[Typist]:
    typist = Typist(*command, columns=columns, no_cpr=no_cpr)
    try:
        yield typist
    finally:
        typist.process.kill()
        typist.process.wait()
        os.close(typist.terminal)
