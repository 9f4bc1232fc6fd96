"""Git in a repository of a test."""

import subprocess
from pathlib import Path


def git(folder: Path, *arguments: str) -> str:
    words = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", *arguments]
    done = subprocess.run(words, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()
