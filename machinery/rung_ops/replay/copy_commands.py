"""Run the project's verbs in the copy."""

import subprocess
import sys
from collections.abc import Sequence

from rung_ops.replay import project_copy

SHOWN = 30  # lines of output in the message of a failed verb
LOGS = "dated"  # folder of the prediction log that the monitor and the autopilot read


class VerbFailed(Exception):
    """A verb failed in the copy; the message repeats its last lines."""


def command(*words: str) -> list[str]:
    """Return the command line of a verb, which runs in the current Python environment."""
    poe = [sys.executable, "-m", "poethepoet", "--quiet", "--executor", "simple"]
    return [*poe, "--directory", str(project_copy.copy_folder()), *words]


def run(*words: str, allowed: Sequence[int] = (0,)) -> str:
    """Run a verb in the copy, and return its output.

    Raises:
        VerbFailed: its exit code is not among the allowed ones.
    """
    done = subprocess.run(
        command(*words),
        cwd=project_copy.copy_folder(),
        env=project_copy.environment() | {"LOGS": str(project_copy.copy_folder() / LOGS)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    with (project_copy.copy_folder() / "verbs.log").open("a", encoding="utf-8") as log:
        log.write(f"$ poe {' '.join(words)}\n{done.stdout}\n")
    if done.returncode not in allowed:
        last = "".join(f"  {line}\n" for line in done.stdout.splitlines()[-SHOWN:])
        raise VerbFailed(
            f"`poe {' '.join(words)}` ended with exit code {done.returncode} in "
            f"{project_copy.copy_folder()}:\n{last}"
        )
    return done.stdout
