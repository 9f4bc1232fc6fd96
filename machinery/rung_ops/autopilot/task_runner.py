"""Run the project's own verbs, as a person would type them: `poe gate`, `poe deploy production`.

What a verb does differs between projects (ops/tasks.toml), and the autopilot need not know.
"""

import os
import subprocess
import sys
from collections import deque
from pathlib import Path

from rung_ops.autopilot.step_runner import StepFailed
from rung_ops.project.paths import ROOT

SHOWN = 30  # last lines of a verb's words that are repeated when it failed


class Verbs:
    """Runs verbs in this environment, and hands each the lock of the pass."""

    def __init__(self, lock: int | None, quiet: bool = False) -> None:
        """Prepare.

        Args:
            lock: file descriptor that a program keeps open as long as it runs, if there is one.
            quiet: do not repeat what the verbs say.
        """
        self._lock = lock
        self._quiet = quiet

    def run(self, *words: str) -> int:
        """Run a verb with its arguments, and return its exit code; see also must()."""
        return self._run(words)[0]

    def must(self, *words: str) -> None:
        """Run a verb that has to succeed.

        Raises:
            StepFailed: it did not; the message repeats its last lines.
        """
        code, last = self._run(words)
        if code != 0:
            said = "".join(f"  {line}\n" for line in last)
            raise StepFailed(f"`poe {' '.join(words)}` ended with exit code {code}:\n{said}")

    def said(self, *words: str) -> str:
        """Run a verb quietly, and return its last line; empty where it printed none."""
        last = Verbs(self._lock, quiet=True)._run(words)[1]
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
