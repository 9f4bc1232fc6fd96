"""Follow files that were renamed, so that a merge finds each under the name it has now."""

from collections.abc import Mapping

from rung.climbing.workbench import Entry, Workbench


def renamed(bench: Workbench, before: str, after: str, similar: int = 50) -> dict[str, str]:
    """Return new names by old ones.

    Args:
        bench: Where both trees stand.
        before, after: The trees.
        similar: How much of a file must be the same for it to be that file, in percent.
    """
    options = (f"--find-renames={similar}%", "--no-rename-empty", "--diff-filter=R")
    said = bench.git("diff-tree", "-r", "-z", "--no-ext-diff", *options, before, after)
    fields = list(filter(None, said.split("\0")))
    return {fields[at + 1]: fields[at + 2] for at in range(0, len(fields), 3)}


def moved(bench: Workbench, tree: str, files: Mapping[str, Entry], names: Mapping[str, str]) -> str:
    """Return a tree in which files bear their new names, where those are free."""
    changes: dict[str, Entry | None] = {}
    for old, new in names.items():
        if old in files and new not in files:
            changes[old] = None
            changes[new] = files[old]
    return bench.edited(tree, changes)
