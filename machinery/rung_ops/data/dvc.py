"""DVC: run it, and what its stages write by dvc.yaml and dvc.lock."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from posixpath import normpath
from typing import Any

import yaml

from rung_ops.project.paths import others
from rung_ops.system import git

KINDS = ("outs", "metrics", "plots")  # what stages write


def main(arguments: list[str] | None = None) -> int:
    """Run DVC as its own command does; a lock file is named once, and not after each stage."""
    from dvc.cli import main as dvc

    named = set()

    def is_new(record: logging.LogRecord) -> bool:
        lock = record.getMessage().partition(" lock file ")[2]
        known = lock in named
        named.add(lock)
        return not (lock and known)

    logging.getLogger("dvc.dvcfile").addFilter(is_new)
    return int(dvc(sys.argv[1:] if arguments is None else arguments))


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


def stage_outputs(root: Path) -> set[str]:
    """Name what a run of the stages may change and git may hold, as paths relative to the project.

    These are the dvc.lock files, what stages declare as written, and the .gitignore files beside it,
    in which DVC hides what it keeps itself. That of the project's root is a person's.
    """
    outputs = set()
    for folder in _pipelines(root):
        outputs.add(_joined(folder, "dvc.lock"))
        for name in ("dvc.yaml", "dvc.lock"):
            for output in _outputs(root / folder / name):
                path = _joined(folder, output)
                outputs |= {path, _joined(path, "../.gitignore")}
    return {path for path in outputs if path not in (".", ".gitignore") and path[:2] != ".."}


def is_stage_output(path: str, known: set[str]) -> bool:
    """Tell whether a file is one of those that written() names, or is in a folder of them."""
    return any(str(part) in known for part in (Path(path), *Path(path).parents))


def _pipelines(root: Path) -> set[str]:
    """Name the folders with stages, of this model and not of others."""
    files = (":(glob)**/dvc.yaml", ":(glob)**/dvc.lock")
    theirs = [f":(exclude){folder}" for folder in others()]
    options = ("-z", "--cached", "--others", "--exclude-standard")
    listed = git.run(root, "ls-files", *options, "--", *files, *theirs)
    return {Path(name).parent.as_posix() for name in listed.stdout.split("\0") if name}


def _outputs(file: Path) -> Iterator[str]:
    content = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else None
    stages = content.get("stages") if isinstance(content, dict) else None
    for stage in (stages or {}).values():
        if isinstance(stage, dict):
            base = str(stage.get("wdir", "."))
            yield from (_joined(base, path) for kind in KINDS for path in _paths(stage.get(kind)))


def _paths(entries: Any) -> Iterator[str]:
    """Name the paths in a list of outputs: texts, or mappings; dvc.lock writes `path: ...`."""
    for entry in entries if isinstance(entries, list) else []:
        path = entry.get("path", next(iter(entry))) if isinstance(entry, dict) else entry
        if isinstance(path, str) and "${" not in path:  # a variable; dvc.lock has its value
            yield path


def _joined(*parts: str) -> str:
    return normpath("/".join(parts))
