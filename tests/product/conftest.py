"""What the product suites share: projects with a lock and a commit, an environment, tools."""

import contextlib
import fcntl
import hashlib
import itertools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, TEMPLATE_PATHS, Render

Started = Callable[..., Path]
TYPES = ROOT / ".cache/product/types"
MADE = ROOT / ".cache/product/made"
KEPT_SECONDS = 6 * 3600  # a folder that was used so recently may be in use


def tool(name: str) -> str:
    """Find a program, or skip the test and say which one is missing."""
    beside = Path(sys.prefix) / "bin" / name
    elsewhere = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
    result = str(beside) if beside.is_file() else shutil.which(name, path=elsewhere)
    if result is None:
        pytest.skip(f"{name} is not on this machine; .ci/run installs it")
    return result


def search_path(*first: Path) -> str:
    """Give a PATH with uv, and without the environment that runs these tests."""
    uv = Path(os.environ.get("UV") or tool("uv"))
    mine = str(Path(sys.prefix) / "bin")
    paths = [path for path in os.environ["PATH"].split(os.pathsep) if path != mine]
    return os.pathsep.join([*map(str, first), *paths, str(uv.parent), "/usr/sbin", "/sbin"])


def environment(**more: str) -> dict[str, str]:
    """Give the environment of a person who has uv and git, and nothing of this repository's."""
    left_out = ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "VIRTUAL_ENV")
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in left_out and not name.startswith(("PYTEST_", "UV_LOCKED", "UV_RUN_"))
    }
    identity = {
        f"GIT_{role}_{what}": value
        for role in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "Ada Developer"), ("EMAIL", "ada@example.org"))
    }
    return kept | identity | {"PATH": search_path(), "UV_NO_PROGRESS": "1"} | more


def run(
    *command: str | Path, cwd: Path, expect: int | None = 0, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a command without a terminal; output and errors come in one text, in their order."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment(**more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=1200,
        check=False,
    )
    if expect is not None:
        assert done.returncode == expect, f"{command} exited {done.returncode}:\n{done.stdout}"
    return done


def commit(folder: Path, message: str) -> None:
    run("git", "add", "--all", cwd=folder)
    run("git", "commit", "--quiet", "--no-verify", "--message", message, cwd=folder)


def made_once(name: str, make: Callable[[Path], object], *sources: Path) -> Path:
    """Make a folder, or find the one that was made from the same template and sources.

    Processes that test side by side share it, and so do later runs: do not change it.
    """
    folder = MADE / f"{name}-{_fingerprint(*sources)}"
    MADE.mkdir(parents=True, exist_ok=True)
    with (MADE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            for old in MADE.glob(f"{name}-*"):
                if old.stat().st_mtime < time.time() - KEPT_SECONDS:
                    shutil.rmtree(old)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            (folder / "complete").touch()
        os.utime(folder)
    return folder


def _fingerprint(*sources: Path) -> str:
    digest = hashlib.sha256()
    for path in [*sources, *(ROOT / name for name in TEMPLATE_PATHS)]:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(file.relative_to(ROOT).as_posix().encode())
                digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


@pytest.fixture(scope="session", autouse=True)
def types_remembered() -> Iterator[None]:
    """Let mypy reuse its cache of packages for the next project: it compares file contents.

    Also of another run; but of no two at a time, as the memory is a database.
    """
    TYPES.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held, pytest.MonkeyPatch.context() as patch:
        for number in itertools.count():
            lock = held.enter_context((TYPES / f"{number}.lock").open("w"))
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
        patch.setenv("MYPY_CACHE_DIR", str(TYPES / str(number)))
        yield


@pytest.fixture(scope="session")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an environment with pip, as the image of a GitLab job has one."""
    folder = tmp_path_factory.mktemp("gitlab") / "venv"
    run(sys.executable, "-m", "venv", folder, cwd=folder.parent)
    return folder


@pytest.fixture(scope="session")
def start(render: Render, tmp_path_factory: pytest.TempPathFactory) -> Started:
    """Start a project: rendered, locked and committed; each call gives a clone of its own.

    A clone holds what git holds, as on a CI machine: no environment, no data that was made.
    """
    origins: dict[Path, Path] = {}

    def started(**answers: Any) -> Path:
        rendered = render(**answers)
        if rendered not in origins:
            origin = tmp_path_factory.mktemp("origin") / "project"
            shutil.copytree(rendered, origin)
            run("git", "init", "--quiet", "--initial-branch", "main", cwd=origin)
            run("uv", "lock", "--quiet", cwd=origin)
            commit(origin, "Start")
            origins[rendered] = origin
        clone = tmp_path_factory.mktemp("clone") / "project"
        run("git", "clone", "--quiet", origins[rendered], clone, cwd=clone.parent)
        return clone

    return started
