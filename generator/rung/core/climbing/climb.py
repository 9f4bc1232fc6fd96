"""Apply a plan: one commit on the current branch, or on a new one."""

import os
from pathlib import PurePosixPath

from rung.core import transaction
from rung.core.climbing import messages, verification
from rung.core.climbing.planner import PreparedPlan
from rung.core.merging.conflict import LINES
from rung.core.rendering.workbench import Entry
from rung.errors import NotDoneError, RungError
from rung.system import git


def finish(prepared: PreparedPlan, branch: str | None, *, verify: bool, command: str) -> int:
    """Apply the plan and print the result; return 1 if conflicts are left.

    Raises:
        NotDoneError: There are conflicts, and no branch was named; nothing was written.
    """
    plan = prepared.plan
    if plan.changes_nothing:
        print(messages.nothing(plan))
        return 0
    detached = transaction.is_detached(prepared.bench.top)
    if branch is not None:
        climb_on_branch(prepared, branch, messages.message(plan))
        print(messages.branched(plan, branch, detached=detached))
        return 1 if plan.conflicts else 0
    if plan.conflicts:
        print(messages.plan(plan))
        raise NotDoneError(messages.stopped(plan, command))
    commit = climb(prepared, messages.message(plan), verify=verify)
    print(messages.done(plan, commit, verified=verify))
    if detached:
        print(transaction.ON_NO_BRANCH)
    return 0


def climb(prepared: PreparedPlan, message: str, *, verify: bool) -> str:
    """Apply the plan as one commit, and return its id.

    Raises:
        RungError: Something moved since; nothing was touched.
        NotDoneError: The project's checks fail in the new state; nothing was touched.
    """
    if prepared.plan.conflicts:
        raise RungError("A climb with conflicts goes to a branch of its own, with `--branch`.")
    verification.parses(prepared.bench, prepared.plan, prepared.prefix)
    tree = prepared.plan.result
    if verify:
        tree = verification.checked(
            prepared.bench,
            prepared.repository_tree(tree),
            prepared.plan.head,
            prepared.prefix,
            tree,
        )
    return transaction.apply(
        prepared.bench, prepared.plan.head, prepared.repository_tree(tree), message
    )


def _beside(prepared: PreparedPlan) -> dict[str, Entry]:
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
    """Return `PATH.rung`, or `PATH.rung-2` and so on where the user has that name."""
    files = prepared.bench.files(prepared.plan.result)
    taken = {str(up) for file in files for up in (file, *PurePosixPath(file).parents)}
    names = (f"{path}.rung{number}" for number in ("", *(f"-{count}" for count in range(2, 999))))
    return next(
        name for name in names if name not in taken and not os.path.lexists(prepared.folder / name)
    )


def climb_on_branch(prepared: PreparedPlan, name: str, message: str) -> str:
    """Apply the plan on a new branch, with conflict markers; return the commit's id."""
    tree = prepared.bench.edited(prepared.plan.result, _beside(prepared))
    commit = prepared.bench.commit(prepared.repository_tree(tree), [prepared.plan.head], message)
    top = prepared.bench.top
    if git.answers(top, "check-ref-format", "--branch", name) is None or name.startswith("-"):
        raise RungError(f"`{name}` is not a valid branch name. Choose another one.")
    with transaction.locked(top):
        transaction.nothing_interrupted(top)
        if git.answers(top, "rev-parse", "--verify", "--quiet", f"refs/heads/{name}"):
            raise RungError(
                f"There is a branch `{name}` already. Choose another name, or delete it with "
                f"`git branch -D {name}`."
            )
        prepared.bench.keep(prepared.plan.head, commit)
        git.run(top, "update-ref", f"refs/heads/{name}", commit, "0" * len(commit))
    return commit
