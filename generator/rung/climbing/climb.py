"""Do what was planned: one commit on the branch at hand, or on a branch of its own."""

import os
from pathlib import PurePosixPath

from rung import git
from rung.climbing import lock, move, prove, resolve
from rung.climbing.look import RUNGS, Look, Wish, ended_first, look
from rung.climbing.workbench import Entry
from rung.errors import RungError

__all__ = ["RUNGS", "Look", "Wish", "branch", "climb", "ended_first", "look"]


def climb(seen: Look, message: str, *, verify: bool) -> str:
    """Do what was planned, as one commit, and return its id.

    Raises:
        RungError: Something moved since; nothing was touched.
        NotDoneError: The project's checks fail in the new state; nothing was touched.
    """
    if seen.plan.conflicts:
        raise RungError("A climb with conflicts goes to a branch of its own, with `--branch`.")
    prove.parses(seen.bench, seen.plan, seen.prefix)
    tree = seen.plan.result
    if verify:
        tree = prove.checked(seen.bench, seen.whole(tree), seen.plan.head, seen.prefix, tree)
    return move.apply(seen.bench, seen.plan.head, seen.whole(tree), message)


def _beside(seen: Look) -> dict[str, Entry]:
    """Return Rung's versions of what cannot stand between markers, under names of their own."""
    found = {}
    for conflict in seen.plan.conflicts:
        if conflict.why == resolve.LINES:
            continue
        name = _free_name(seen, conflict.path)
        for path, entry in seen.theirs.items():
            if path == conflict.path or path.startswith(f"{conflict.path}/"):
                found[name + path.removeprefix(conflict.path)] = entry
    return found


def _free_name(seen: Look, path: str) -> str:
    """Return `PATH.rung`, or `PATH.rung-2` and so on where the user has that name."""
    files = seen.bench.files(seen.plan.result)
    taken = {str(up) for file in files for up in (file, *PurePosixPath(file).parents)}
    names = (f"{path}.rung{number}" for number in ("", *(f"-{count}" for count in range(2, 999))))
    return next(
        name for name in names if name not in taken and not os.path.lexists(seen.folder / name)
    )


def branch(seen: Look, name: str, message: str) -> str:
    """Put what was planned on a new branch, conflicts between markers; return the commit's id."""
    tree = seen.bench.edited(seen.plan.result, _beside(seen))
    commit = seen.bench.commit(seen.whole(tree), [seen.plan.head], message)
    top = seen.bench.top
    if git.answers(top, "check-ref-format", "--branch", name) is None or name.startswith("-"):
        raise RungError(f"`{name}` is no name for a branch. Choose another one.")
    with lock.held(top):
        move.nothing_interrupted(top)
        if git.answers(top, "rev-parse", "--verify", "--quiet", f"refs/heads/{name}"):
            raise RungError(
                f"There is a branch `{name}` already. Choose another name, or delete it with "
                f"`git branch -D {name}`."
            )
        seen.bench.keep(seen.plan.head, commit)
        git.run(top, "update-ref", f"refs/heads/{name}", commit, "0" * len(commit))
    return commit
