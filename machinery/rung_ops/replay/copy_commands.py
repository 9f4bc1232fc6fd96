"""Programs that run in the copy: the project's verbs, as a person would type them."""

import subprocess
import sys
from collections.abc import Sequence

from rung_ops.replay import project_copy

SHOWN = 30  # last lines of a verb's words that are repeated when it failed
LOGS = "dated"  # the folder of the log as the monitor and the autopilot see it


class VerbFailed(Exception):
    """A verb failed in the copy; the message repeats its last lines."""


def command(*words: str) -> list[str]:
    """Give the command line of a verb: in this environment, without making one for the copy."""
    poe = [sys.executable, "-m", "poethepoet", "--quiet", "--executor", "simple"]
    return [*poe, "--directory", str(project_copy.PLACE), *words]


def run(*words: str, allowed: Sequence[int] = (0,)) -> str:
    """Run a verb in the copy, and return what it printed.

    Raises:
        VerbFailed: it ended with another exit code than those allowed.
    """
    done = subprocess.run(
        command(*words),
        cwd=project_copy.PLACE,
        env=project_copy.environment() | {"LOGS": str(project_copy.PLACE / LOGS)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    with (project_copy.PLACE / "verbs.log").open("a", encoding="utf-8") as log:
        log.write(f"$ poe {' '.join(words)}\n{done.stdout}\n")
    if done.returncode not in allowed:
        last = "".join(f"  {line}\n" for line in done.stdout.splitlines()[-SHOWN:])
        raise VerbFailed(
            f"`poe {' '.join(words)}` ended with exit code {done.returncode} in "
            f"{project_copy.PLACE}:\n{last}"
        )
    return done.stdout
