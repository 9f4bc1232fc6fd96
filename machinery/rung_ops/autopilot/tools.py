"""The tools of the steps: the rules, and a runner of the project's poe tasks.

Steps run tasks such as `poe gate` and `poe deploy production`, whose commands differ between
projects (ops/tasks.toml).
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
from rung_ops.project import current, keyless, release_folders
from rung_ops.release import state

SHOWN = 30  # lines of output in the message of a failed task
# Tasks that run code of the project, which changes before anybody reads it, and sign nothing.
WITHOUT_KEYS = ("validate", "incoming", "pipeline")


class TaskRunner:
    """Runs poe tasks in the current environment, passing each the lock of the pass."""

    def __init__(self, lock: int | None, quiet: bool = False) -> None:
        """Set the options.

        Args:
            lock: file descriptor that each task keeps open while it runs, if there is a lock.
            quiet: do not print the output of tasks.
        """
        self._lock = lock
        self._quiet = quiet

    def run(self, *words: str) -> int:
        """Run a task with its arguments; return its exit code."""
        return self._run(words)[0]

    def must(self, *words: str) -> None:
        """Run a task that has to succeed.

        Raises:
            StepFailed: it did not; the message repeats its last lines.
        """
        code, last = self._run(words)
        if code != 0:
            output = "".join(f"  {line}\n" for line in last)
            raise StepFailed(f"`poe {' '.join(words)}` ended with exit code {code}:\n{output}")

    def last_line(self, *words: str) -> str:
        """Run a task quietly; return the last line of its output, or an empty string."""
        last = TaskRunner(self._lock, quiet=True)._run(words)[1]
        return last[-1] if last else ""

    def _run(self, words: tuple[str, ...]) -> tuple[int, list[str]]:
        # In the current environment: `uv run` would create one for the working directory.
        poe = [sys.executable, "-m", "poethepoet", "--quiet", "--executor", "simple"]
        executables = str(Path(sys.executable).parent)
        last: deque[str] = deque(maxlen=SHOWN)
        environment = keyless.environment() if words[0] in WITHOUT_KEYS else dict(os.environ)
        with subprocess.Popen(
            [*poe, "--directory", str(current().root), *words],
            cwd=current().root,
            env=environment | {"PATH": f"{executables}{os.pathsep}{os.environ.get('PATH', '')}"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
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
    """The tools that every step gets.

    Attributes:
        policy: the rules.
        tasks: runs poe tasks.
        say: prints a line.
        dry: whether writing is forbidden.
    """

    policy: Policy
    tasks: TaskRunner
    say: Callable[[str], None]
    dry: bool = False


def production() -> state.State:
    """Read the state of production."""
    return state.read(release_folders.environment(release_folders.PRODUCTION))


def tries(record: Record, name: str) -> int:
    """Return how often a step was started, including this time."""
    entry = journal.step(record, name)
    return int(entry["tries"]) if entry else 0
