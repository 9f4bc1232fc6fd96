"""What the steps of a pass share: the rules, and the project's own tasks.

Tasks run as a person would type them, `poe gate` or `poe deploy production`: what each does differs
between projects (ops/tasks.toml), and the autopilot need not know.
"""

import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rung_ops.autopilot import journal
from rung_ops.autopilot.journal import Record
from rung_ops.autopilot.policy import Policy
from rung_ops.autopilot.step_runner import StepFailed
from rung_ops.project.paths import ROOT
from rung_ops.release import paths, state

SHOWN = 30  # last lines of a task's output that are repeated when it failed


class TaskRunner:
    """Runs poe tasks in this environment, and hands each the lock of the pass."""

    def __init__(self, lock: int | None, quiet: bool = False) -> None:
        """Set up.

        Args:
            lock: file descriptor that a program keeps open as long as it runs, if there is one.
            quiet: do not repeat what the tasks print.
        """
        self._lock = lock
        self._quiet = quiet

    def run(self, *words: str) -> int:
        """Run a task with its arguments, and return its exit code; see also must()."""
        return self._run(words)[0]

    def must(self, *words: str) -> None:
        """Run a task that has to succeed.

        Raises:
            StepFailed: it did not; the message repeats its last lines.
        """
        code, last = self._run(words)
        if code != 0:
            said = "".join(f"  {line}\n" for line in last)
            raise StepFailed(f"`poe {' '.join(words)}` ended with exit code {code}:\n{said}")

    def last_line(self, *words: str) -> str:
        """Run a task quietly, and return the last line it printed; empty where it printed none."""
        last = TaskRunner(self._lock, quiet=True)._run(words)[1]
        return last[-1] if last else ""

    def _run(self, words: tuple[str, ...]) -> tuple[int, list[str]]:
        # This environment as it is: `uv run` would first make one for the folder it is called in.
        poe = [sys.executable, "-m", "poethepoet", "--quiet", "--executor", "simple"]
        beside = str(Path(sys.executable).parent)
        last: deque[str] = deque(maxlen=SHOWN)
        with subprocess.Popen(
            [*poe, "--directory", str(ROOT), *words],
            cwd=ROOT,
            env=os.environ | {"PATH": f"{beside}{os.pathsep}{os.environ.get('PATH', '')}"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            pass_fds=() if self._lock is None else (self._lock,),
        ) as running:
            for line in running.stdout or ():
                last.append(line.rstrip())
                if not self._quiet:
                    print(f"  | {line.rstrip()}", flush=True)
        return running.returncode, list(last)


@dataclass(frozen=True)
class Tools:
    """What every step is given.

    Attributes:
        policy: the rules.
        tasks: runs `poe gate` and its like.
        say: prints a line.
        dry: nothing may be written.
    """

    policy: Policy
    tasks: TaskRunner
    say: Callable[[str], None]
    dry: bool = False


def production() -> state.State:
    """Read what production serves."""
    return state.read(paths.environment(paths.PRODUCTION))


def tries(record: Record, name: str) -> int:
    """Tell how often a step was begun, this time included."""
    found = journal.step(record, name)
    return int(found["tries"]) if found else 0
