"""Apply a plan: check the new state, then commit on the current branch or a new one."""

import itertools
import os
import re
import shutil
import sys
import time
import tomllib
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import Any

from rung import output_formats
from rung.core import transaction
from rung.core.climbing import messages
from rung.core.climbing.messages import Outcome
from rung.core.climbing.planner import PreparedPlan
from rung.core.climbing.plans import LOCK
from rung.core.merging import tree_merge
from rung.core.merging.conflict import LINES, OURS
from rung.core.rendering.workbench import Entry, Project, Workbench
from rung.errors import NotDoneError, RungError
from rung.system import git, process, shortage, terminal
from rung.system.printable import printable

# Rung's wheels (decision 30). uv refuses one that changed under the same name, as uv.lock has its old hash.
LIBRARY = re.compile(r"vendor/(rung_[a-z]+)-[^/]*\.whl")
# Tasks that name the files they complain about. A failing test names none: the climb may be the cause.
OF_FILES = ("lint", "format-check", "types")
FINDINGS = 1  # exit code of ruff and mypy for findings; other codes mean that they could not run


def finish(
    prepared: PreparedPlan,
    branch: str | None,
    *,
    verify: bool,
    command: str,
    form: str = "text",
    news: str = "",
    may_leave_governance: bool = False,
) -> int:
    """Apply the plan and print the outcome; return 1 if conflicts or failing checks are left.

    `command` is what the user typed. Nothing is written where a plan leaves governance and may not, or has
    conflicts or failing checks and no branch was named.
    """
    plan = prepared.plan
    detached = transaction.is_detached(prepared.bench.top)

    def say(**came: Any) -> None:
        outcome = Outcome(plan, detached=detached, news=news, **came)
        terminal.show(output_formats.writer("climb", form)(outcome), form)

    if plan.changes_nothing:
        say()
        return 0
    if plan.leaves_governance and not may_leave_governance:
        raise RungError("\n".join([*messages.leaving(plan), "No files were changed."]))
    if branch is not None:
        commit, passed = climb_on_branch(prepared, branch, messages.message(plan), verify=verify)
        say(commit=commit, branch=branch, passed=passed)
        return 1 if plan.conflicts or passed is False else 0
    if plan.conflicts:
        say()
        raise NotDoneError(messages.stopped(plan, command))
    commit = climb(prepared, messages.message(plan), verify=verify)
    say(commit=commit, passed=True if verify else None)
    return 0


def climb(prepared: PreparedPlan, message: str, *, verify: bool) -> str:
    """Apply the plan as one commit and return its id; the checks must pass, or nothing is touched."""
    if prepared.plan.conflicts:
        raise RungError("A climb with conflicts goes to a branch of its own, with `--branch`.")
    if unreadable := _unreadable(prepared):
        raise NotDoneError(
            f"{printable(f'`{unreadable}`')} would not be readable after the climb. Nothing was touched.\n"
            "See it with `rung plan --diff`, or put the climb on a branch with `--branch NAME`."
        )
    tree = prepared.plan.result
    if verify:
        tree, passed = _checked(prepared.project, tree)
        if not passed:
            raise NotDoneError(
                "The project's checks do not pass in the new state; their output is above. "
                "Nothing was touched.\n"
                "See what changes with `rung plan`; put it on a branch with `--branch NAME`, or "
                "climb with `--no-verify` and fix it afterwards."
            )
    tree = prepared.project.repository_tree(tree)
    return transaction.apply(prepared.bench, prepared.plan.head, tree, message)


def _rungs_versions(prepared: PreparedPlan) -> dict[str, Entry]:
    """Return Rung's versions of files that cannot have conflict markers, under separate names."""
    entries = {}
    for conflict in prepared.plan.conflicts:
        if conflict.why == LINES:
            continue
        name = _free_name(prepared, conflict.path)
        for path, entry in prepared.theirs.items():
            if path == conflict.path or path.startswith(f"{conflict.path}/"):
                entries[name + path.removeprefix(conflict.path)] = entry
    return entries


def _free_name(prepared: PreparedPlan, path: str) -> str:
    """Return `PATH.rung`, or `PATH.rung-2` and so on where the user has such a file."""
    files = prepared.bench.files(prepared.plan.result)
    taken = {str(up) for file in files for up in (file, *PurePosixPath(file).parents)}
    names = (f"{path}.rung{f'-{number}' if number > 1 else ''}" for number in itertools.count(1))
    folder = prepared.project.folder
    return next(n for n in names if n not in taken and not os.path.lexists(folder / n))


def climb_on_branch(
    prepared: PreparedPlan, name: str, message: str, *, verify: bool
) -> tuple[str, bool | None]:
    """Apply the plan on a new branch, with conflict markers.

    Returns the commit's id, and whether the project's checks passed; None: they were not run.
    """
    top = prepared.bench.top
    _refuse_branch(top, name)
    tree, passed = prepared.bench.edited(prepared.plan.result, _rungs_versions(prepared)), None
    if verify and not prepared.plan.conflicts:
        passed = False
        if _unreadable(prepared) is None:
            tree, passed = _checked(prepared.project, tree)
    tree = prepared.project.repository_tree(tree)
    commit = prepared.bench.commit(tree, [prepared.plan.head], message)
    with transaction.locked(top):
        _refuse_branch(top, name)
        process.raise_lost_stop()
        prepared.bench.keep(prepared.plan.head, commit)
        git.run(top, "update-ref", f"refs/heads/{name}", commit, "0" * len(commit))
    return commit, passed


def _refuse_branch(top: Path, name: str) -> None:
    if git.output(top, "check-ref-format", "--branch", name) is None or name.startswith("-"):
        raise RungError(f"`{name}` is not a valid branch name. Choose another one.")
    if git.revision(top, f"refs/heads/{name}"):
        raise RungError(
            f"There is a branch `{name}` already. Choose another name, or delete it with "
            f"`git branch -D {name}`."
        )


def _unreadable(prepared: PreparedPlan) -> str | None:
    """Return a file that the climb writes and that has markers or cannot be parsed, or None."""
    bench, plan = prepared.bench, prepared.plan
    before, after = bench.files(prepared.project.tree), bench.files(plan.result)
    paths = [path for path in (*plan.added, *plan.changed) if after[path].is_text_file]
    # All at once, as each call of git takes its time.
    bench.contents(files[path].oid for files in (before, after) for path in paths if path in files)
    for path in paths:
        text, base = bench.content(after[path]), bench.content(before.get(path))
        marked = any(line.startswith(OURS) for line in text.splitlines())
        broken = not tree_merge.parses(path, text) and (not base or tree_merge.parses(path, base))
        if marked or broken:
            return path
    return None


def _checked(project: Project, tree: str) -> tuple[str, bool]:
    """Run the project's own checks on the new state of its folder, somewhere else.

    Returns the tree, with uv.lock as uv wrote it where git tracks one, and whether they passed.
    """
    uv = process.uv()
    if uv is None:
        raise RungError(
            "uv is not on PATH, so the project's checks cannot be run before the climb.\n"
            "Install uv, or leave the checks to yourself with `--no-verify`. " + shortage.DOCTOR
        )
    bench = project.bench
    checkout = bench.folder / "staged"
    _stage(bench, checkout, bench.commit(project.repository_tree(tree), [project.head], "Staged"))
    folder = checkout / project.prefix
    before = bench.files(project.tree)
    changed = [path for path, file in bench.files(tree).items() if before.get(path) != file]
    wheels = filter(None, map(LIBRARY.fullmatch, sorted(before.keys() & changed)))
    libraries = [wheel[1].replace("_", "-") for wheel in wheels]
    if (folder / LOCK).is_file() and libraries:
        upgraded = [word for name in libraries for word in ("--upgrade-package", name)]
        process.run("lock the new library", [uv, "lock", "--quiet", *upgraded], folder)
    title, started = "check the new state", time.monotonic()
    code, output = process.attempt(title, [uv, "run", "--quiet", "poe", "check"], folder)
    passed = code == 0
    if passed:
        process.finished(title, started)
    else:
        failing, more = _failing_for_own_files(uv, folder, changed)
        process.show_failure(output + more)  # below the steps, where a reader looks first
        if failing:
            print(
                f"{', '.join(failing)}: the problems above are in files that the climb does not "
                "change, so it goes on. `uv run poe check` fails until they are fixed.",
                file=sys.stderr,
            )
            passed = True
    entry = bench.files(tree).get(LOCK)
    if entry is not None and (folder / LOCK).is_file():
        lock = Entry(entry.mode, bench.store((folder / LOCK).read_bytes()))
        tree = bench.edited(tree, {LOCK: lock})
    return tree, passed


def _stage(bench: Workbench, checkout: Path, commit: str) -> None:
    """Check a commit out into a new repository, as tools of the project may call git."""
    shutil.rmtree(checkout, ignore_errors=True)
    form = f"--object-format={'sha256' if len(commit) == 64 else 'sha1'}"
    making = ("init", "--quiet", "--template=", form, str(checkout))
    git.run(bench.folder, *making, extra=git.NO_USER_CONFIG)
    (checkout / ".git/objects/info").mkdir(parents=True, exist_ok=True)
    own = f"{bench.repository / 'objects'}\n"
    others = (bench.repository / "objects/info/alternates").read_text("utf-8")
    (checkout / ".git/objects/info/alternates").write_text(own + others, "utf-8")
    for arguments in (
        ("update-ref", "refs/heads/main", commit),
        ("symbolic-ref", "HEAD", "refs/heads/main"),
        ("reset", "--quiet", "--hard"),
    ):
        git.run(checkout, *arguments, extra=git.NO_USER_CONFIG)


def _failing_for_own_files(
    uv: str, folder: Path, changed: Collection[str]
) -> tuple[list[str], str]:
    """Run the tasks of `poe check` one by one after it failed.

    Returns those that fail for files that the climb does not change, none if any other task fails;
    and what that task printed, if `poe check` may have stopped before it.
    """
    failed: list[str] = []
    for task in _tasks(folder):
        command = [uv, "run", "--quiet", "poe", *task.split()]
        code, output = process.attempt(f"check the new state: {task}", command, folder)
        if code == 0:
            continue
        if task not in OF_FILES or code != FINDINGS or any(path in output for path in changed):
            return [], output if failed else ""
        failed.append(task)
    return failed, ""


def _tasks(folder: Path) -> list[str]:
    """Return the tasks that `poe check` runs in sequence; empty if it is not a sequence."""
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
