"""Merge three trees without a work tree; a git from before 2.43 does it in a throw-away one."""

import re
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rung.core.rendering.workbench import Entry, Workbench
from rung.errors import RungError
from rung.system import git

SINCE = (2, 43)  # `git merge-tree -X`; `--merge-base` came with 2.40
BASE, OURS, THEIRS = 1, 2, 3  # git's numbers for the versions of a path in conflict


@dataclass(frozen=True)
class Merged:
    """What git's merge by lines came to.

    Args:
        tree: All files; those in conflict are as git leaves them.
        stages: For each path in conflict, the versions there are: BASE, OURS, THEIRS.
    """

    tree: str
    stages: dict[str, dict[int, Entry]]


def merge(bench: Workbench, base: str, ours: str, theirs: str) -> Merged:
    """Merge two trees over the one they come from. Renames are not looked for."""
    root = bench.git("commit-tree", base, "-m", "base", extra=git.SAME_EVERYWHERE).strip()
    sides = [
        bench.git("commit-tree", tree, "-p", root, "-m", name, extra=git.SAME_EVERYWHERE).strip()
        for tree, name in ((ours, "yours"), (theirs, "rung"))
    ]
    if version() < SINCE:
        return _in_a_work_tree(bench, sides)
    options = ("--write-tree", "-z", "--no-messages", "-X", "no-renames", f"--merge-base={root}")
    code, output = bench.tries("merge-tree", *options, *sides)
    if code > 1:
        raise RungError(f"Git could not merge the trees:\n{output.strip()}")
    tree, *lines = output.split("\0")
    return Merged(tree, _stages(lines))


@cache
def version() -> tuple[int, ...]:
    """Return git's version, such as (2, 47)."""
    output = git.run(Path.cwd(), "version")
    match = re.search(r"(\d+)\.(\d+)", output)
    return tuple(map(int, match.groups())) if match else (0, 0)


def _in_a_work_tree(bench: Workbench, sides: list[str]) -> Merged:
    folder = bench.folder / "merging"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    index = bench.folder / "merging.index"
    index.unlink(missing_ok=True)
    extra = {"GIT_WORK_TREE": str(folder), "GIT_INDEX_FILE": str(index), **git.SAME_EVERYWHERE}
    # Attributes of the trees would be read from here: everything is taken as it is instead.
    attributes = bench.repository / "info/attributes"
    attributes.parent.mkdir(exist_ok=True)
    attributes.write_text("* !merge -text -filter -ident -working-tree-encoding\n", "utf-8")
    bench.git("update-ref", "--no-deref", "HEAD", sides[0], extra=extra)
    bench.git("read-tree", "--reset", "-u", sides[0], extra=extra)
    # Named, since git from 2.34 on takes another one by itself, which puts files aside otherwise.
    strategy = ("-s", "recursive", "-X", "no-renames")
    arguments = ("merge", "--no-commit", "--no-ff", "--quiet", *strategy, sides[1])
    try:
        bench.git(*arguments, extra=extra)
    except RungError:
        if not bench.git("ls-files", "--unmerged", "-z", extra=extra):
            raise
    stages = _stages(bench.git("ls-files", "--unmerged", "-z", extra=extra).split("\0"))
    bench.git("add", "--all", "--force", ".", extra=extra)
    tree = bench.git("write-tree", extra=extra).strip()
    shutil.rmtree(folder, ignore_errors=True)
    # A file in the place of a folder is renamed, to the same name as by merge-tree.
    there = bench.files(tree).keys()
    made_up = there - bench.files(sides[0]).keys() - bench.files(sides[1]).keys()
    aside = {name.rpartition("~")[0]: name for name in made_up}
    named = {path if path in there else aside.get(path, path): stages[path] for path in stages}
    return Merged(tree, named)


def _stages(lines: list[str]) -> dict[str, dict[int, Entry]]:
    stages: dict[str, dict[int, Entry]] = {}
    for line in filter(None, lines):
        about, _, path = line.partition("\t")
        mode, oid, stage = about.split(" ")
        stages.setdefault(path, {})[int(stage)] = Entry(mode, oid)
    return stages
