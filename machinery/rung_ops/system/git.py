"""Run git."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path


def run(
    folder: Path,
    *arguments: str,
    variables: Mapping[str, str] | None = None,
    errors: str = "replace",
) -> subprocess.CompletedProcess[str]:
    """Run git in a folder, and keep its output and errors apart for the caller.

    Args:
        folder: where it runs.
        arguments: of git.
        variables: of its environment, beside those of this process.
        errors: how text that is not UTF-8 is read; `surrogateescape` keeps the names of files.

    Returns:
        Whatever it ended with: where there is no repository, a code that is not 0 and no output.

    Raises:
        OSError: git cannot be started.
    """
    return subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env=os.environ | dict(variables or {}),
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors=errors,
        check=False,
    )
