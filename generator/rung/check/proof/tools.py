"""Where the program of a proof comes from: the project's own environment, else PATH."""

import shutil
import tomllib
from collections.abc import Sequence
from pathlib import Path

from rung.check.proof import run
from rung.system import process


class Tools:
    """The programs that a copy of a repository can be run with."""

    def __init__(self, folder: Path, top: Path, seconds: float) -> None:
        """Know the folder that is checked, the whole copy around it, and the seconds for a sync."""
        self.folder = folder
        self.top = top
        self.seconds = seconds
        self.trouble: str | None = None  # why uv made no environment; tried at most once
        self.synced = False

    def command(self, command: Sequence[str], project: bool) -> tuple[list[str], str]:
        """Return how a command is started, and where it cannot be, an empty list and the reason."""
        name, *rest = command
        if project:
            self._sync()
            if self.trouble is None and self._in_environment(name):
                uv = process.uv()
                assert uv is not None
                return [uv, "run", "--quiet", "--no-sync", name, *rest], ""
        program = shutil.which(name)
        if program:
            return [program, *rest], ""
        reason = f"`{name}` is not on PATH"
        if project:
            trouble = self.trouble or "the project's environment has none"
            reason = f"{reason}, and {trouble}"
        return [], reason

    def _sync(self) -> None:
        if self.synced:
            return
        self.synced = True
        uv = process.uv()
        if uv is None:
            self.trouble = "uv, which would install it for the project, is not there"
        elif not self._is_project():
            self.trouble = "there is no pyproject.toml from which uv would install it"
        else:
            done = run.run([uv, "sync", "--quiet"], self.folder, self.seconds, {})
            if done.result != "passed":
                last = done.tail[-1] if done.tail else "without a word"
                self.trouble = f"`uv sync` {done.result}: {last}"

    def _is_project(self) -> bool:
        try:
            return "project" in tomllib.loads((self.folder / "pyproject.toml").read_text("utf-8"))
        except (OSError, ValueError, RecursionError):
            return False

    def _in_environment(self, name: str) -> bool:
        """Say whether the environment has a program; uv puts one workspace's at its top."""
        above = [self.folder, *self.folder.parents]
        inside = above[: above.index(self.top) + 1]
        programs = (f".venv/bin/{name}", f".venv/Scripts/{name}.exe")  # the latter on Windows
        return any((folder / program).exists() for folder in inside for program in programs)
