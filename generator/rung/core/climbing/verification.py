"""Verify the new state before the project is moved to it: it parses, and its checks pass."""

import re
import shutil
import sys
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from rung.core.climbing.plan import Plan
from rung.core.merging import resolve
from rung.core.merging.conflict import OURS
from rung.core.rendering.workbench import NOBODYS, Entry, Workbench
from rung.errors import NotDoneError, RungError
from rung.system import git, process, shortage

LOCK = "uv.lock"
# Where another one has the same name, uv takes the hash in the lock file for its own, and refuses it.
LIBRARY = re.compile(r"vendor/rung_ops-[^/]*\.whl")
# They look at each file for itself and name it. Tests do not: what fails there, a climb may break.
OF_FILES = ("lint", "format-check", "types")
FOUND = 1  # exit code of ruff and mypy where they found something, and did not fail themselves


def parses(bench: Workbench, plan: Plan, prefix: str) -> None:
    """Raise a NotDoneError if a file that the climb writes has markers or cannot be parsed."""
    before, after = bench.files(bench.inside(plan.head, prefix)), bench.files(plan.result)
    paths = [path for path in (*plan.added, *plan.changed) if after[path].is_text_file]
    texts = bench.contents([after[path].oid for path in paths])
    old = bench.contents([before[path].oid for path in paths if path in before])
    for path in paths:
        text = texts.get(after[path].oid, b"")
        base = old.get(before[path].oid, b"") if path in before else b""
        marked = any(line.startswith(OURS) for line in text.splitlines())
        broken = not resolve.parses(path, text) and (not base or resolve.parses(path, base))
        if marked or broken:
            raise NotDoneError(
                f"`{path}` would not be readable after the climb. Nothing was touched.\n"
                "See it with `rung plan --diff`, or put the climb on a branch with `--branch NAME`."
            )


def checked(bench: Workbench, repository_tree: str, head: str, prefix: str, tree: str) -> str:
    """Run the project's own checks on the new state, in a folder apart.

    Args:
        bench: Where the trees stand.
        repository_tree: The tree of the whole repository, as it will be.
        head: The commit it will follow.
        prefix: The project's folder in it, or nothing.
        tree: The tree of that folder.

    Returns:
        The folder's tree; with the lock file as uv wrote it, where git keeps one.

    Raises:
        NotDoneError: They fail; their output was printed.
    """
    uv = process.uv()
    if uv is None:
        raise RungError(
            "uv is not on PATH, so the project's checks cannot be run before the climb.\n"
            "Install uv, or leave the checks to yourself with `--no-verify`. " + shortage.DOCTOR
        )
    checkout = bench.folder / "staged"
    _stage(bench, checkout, bench.commit(repository_tree, [head], "Staged"))
    folder = checkout / prefix
    before = bench.files(bench.inside(head, prefix))
    changed = [path for path, file in bench.files(tree).items() if before.get(path) != file]
    if (folder / LOCK).is_file() and any(
        LIBRARY.fullmatch(path) for path in before.keys() & changed
    ):
        lock = [uv, "lock", "--quiet", "--upgrade-package", "rung-ops"]
        process.run("lock the new library", lock, folder)
    try:
        process.run("check the new state", [uv, "run", "--quiet", "poe", "check"], folder)
    except NotDoneError as error:
        if failing := _failing_for_own_files(uv, folder, changed):
            print(
                f"{', '.join(failing)}: the problems above are in files that the climb does not "
                "change, so it goes on. `uv run poe check` fails until they are fixed.",
                file=sys.stderr,
            )
            return _with_lock(bench, folder, tree)
        raise NotDoneError(
            "The project's checks do not pass in the new state; their output is above. "
            "Nothing was touched.\n"
            "See what changes with `rung plan`; put it on a branch with `--branch NAME`, or climb "
            "with `--no-verify` and fix it afterwards."
        ) from error
    return _with_lock(bench, folder, tree)


def _with_lock(bench: Workbench, folder: Path, tree: str) -> str:
    entry = bench.files(tree).get(LOCK)
    if entry is not None and (folder / LOCK).is_file():
        tree = bench.edited(
            tree, {LOCK: Entry(entry.mode, bench.store((folder / LOCK).read_bytes()))}
        )
    return tree


def _stage(bench: Workbench, checkout: Path, commit: str) -> None:
    """Check a commit out into a separate repository, as a project's tools expect one."""
    shutil.rmtree(checkout, ignore_errors=True)
    form = f"--object-format={'sha256' if len(commit) == 64 else 'sha1'}"
    git.run(bench.folder, "init", "--quiet", "--template=", form, str(checkout), extra=NOBODYS)
    (checkout / ".git/objects/info").mkdir(parents=True, exist_ok=True)
    own = f"{bench.repository / 'objects'}\n"
    others = (bench.repository / "objects/info/alternates").read_text("utf-8")
    (checkout / ".git/objects/info/alternates").write_text(own + others, "utf-8")
    git.run(checkout, "update-ref", "refs/heads/main", commit, extra=NOBODYS)
    git.run(checkout, "symbolic-ref", "HEAD", "refs/heads/main", extra=NOBODYS)
    git.run(checkout, "reset", "--quiet", "--hard", extra=NOBODYS)


def _failing_for_own_files(uv: str, folder: Path, changed: Collection[str]) -> list[str]:
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
            if failed:  # a `poe check` of their own may have ended with the first task that failed
                print(output, file=sys.stderr)
            return []
        failed.append(task)
    return failed


def _tasks(folder: Path) -> list[str]:
    """Name the tasks that `poe check` runs in sequence; empty if it is something else."""
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
