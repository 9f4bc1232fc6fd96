"""Tell whether checks fail for the user's own files only, which a climb does not change."""

import sys
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from rung import process

# They look at each file for itself and name it. Tests do not: what fails there, a climb may break.
OF_FILES = ("lint", "format-check", "types")
FOUND = 1  # exit code of ruff and mypy where they found something, and did not fail themselves


def only_fail(uv: str, folder: Path, changed: Collection[str]) -> list[str]:
    """Run the tasks of `poe check` one by one, after it failed.

    Args:
        uv: the program.
        folder: the project in its new state.
        changed: the files that the climb adds or changes, relative to the folder.

    Returns:
        The tasks that fail for files that the climb does not change; empty where another one fails.
    """
    failed: list[str] = []
    for task in _tasks(folder):
        command = [uv, "run", "--quiet", "poe", *task.split()]
        code, output = process.attempt(f"check the new state: {task}", command, folder)
        if code == 0:
            continue
        if task not in OF_FILES or code != FOUND or any(path in output for path in changed):
            if failed:  # what `poe check` printed ends with the first task that failed
                print(output, file=sys.stderr)
            return []
        failed.append(task)
    return failed


def _tasks(folder: Path) -> list[str]:
    """Name the tasks that `poe check` runs in sequence; empty where it is something else."""
    own = _poe(folder / "pyproject.toml")
    include = own.get("include", [])
    files = [include] if isinstance(include, str) else include
    tables = [own, *(_poe(folder / name) for name in files if isinstance(name, str))]
    check = next((c for table in tables if (c := table.get("tasks", {}).get("check"))), None)
    sequence = check.get("sequence", []) if isinstance(check, dict) else []
    names = [step.get("ref") if isinstance(step, dict) else step for step in sequence]
    return [name for name in names if name] if all(isinstance(name, str) for name in names) else []


def _poe(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    return dict(tomllib.loads(file.read_text("utf-8")).get("tool", {}).get("poe", {}))
