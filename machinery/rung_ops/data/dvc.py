"""Run DVC."""

import subprocess
from pathlib import Path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run DVC in a folder, and keep its output and errors apart for the caller."""
    return subprocess.run(
        ["dvc", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
