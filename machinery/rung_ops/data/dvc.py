"""Run DVC."""

import subprocess
import sys
from pathlib import Path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run DVC in a folder, and keep its output and errors apart for the caller."""
    return subprocess.run(
        # The one beside this Python: PATH has another one, or none, where no task runs.
        [sys.executable, "-m", "dvc", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
