"""Merge three trees: by lines with git, then by key, by pattern, by who deleted what (decision 19).

Whatever these cannot settle is reported as a conflict. Git needs no work tree for it, except a
version before 2.43, which merges in a temporary one.
"""

import ast
import re
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from rung.core.merging import key_merge, line_merge
from rung.core.merging.conflict import BINARY, KIND, LINES, UNREADABLE, Conflict, Resolved, hunks
from rung.core.merging.key_merge import UnmergeableError
from rung.core.rendering.workbench import Entry, Workbench
from rung.errors import RungError
from rung.levels.template_answers import ANSWERS
from rung.system import git

SINCE = (2, 43)  # `git merge-tree -X`; `--merge-base` came with 2.40
BASE, OURS, THEIRS = 1, 2, 3  # git's numbers for the versions of a path in conflict
Changes = dict[str, Entry | None]  # by path; None: the file goes
Versions = tuple[Entry | None, Entry, Entry]  # base, ours, theirs

MACHINERY = ("ops/", "machinery/")  # does not work with another file in place of its own
SHARED = 0.2  # a file with a smaller share of common lines is the user's own
FEWEST = 5  # lines; a shorter file of Rung's cannot be recognised after an edit
REQUIRED = {
    ANSWERS,
    "pyproject.toml",
    "ops",
    "machinery",
    "vendor",
}  # no climb works without Rung's part of these


@dataclass(frozen=True)
class Merged:
    """The outcome of git's merge by lines.

    Args:
        tree: All files; those in conflict are as git leaves them.
        stages: The versions of paths in conflict: BASE, OURS, THEIRS.
    """

    tree: str
    stages: dict[str, dict[int, Entry]]


def merge(bench: Workbench, base: str, ours: str, theirs: str) -> Merged:
    """Merge two trees over their base.

    Git must not look for renames: it would take a retired file and a similar new one for a rename,
    and move the user's edit there (decision 19).
    """
    root = bench.git("commit-tree", base, "-m", "base", extra=git.SAME_EVERYWHERE).strip()
    sides = [
        bench.git("commit-tree", tree, "-p", root, "-m", name, extra=git.SAME_EVERYWHERE).strip()
        for tree, name in ((ours, "yours"), (theirs, "rung"))
    ]
    if version() < SINCE:
        return _in_a_work_tree(bench, sides)
    options = ("--write-tree", "-z", "--no-messages", "-X", "no-renames", f"--merge-base={root}")
    code, output = bench.attempt("merge-tree", *options, *sides)
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
    # Files are merged as they are, whatever the attributes in the trees say.
    attributes = bench.repository / "info/attributes"
    attributes.parent.mkdir(exist_ok=True)
    attributes.write_text("* !merge -text -filter -ident -working-tree-encoding\n", "utf-8")
    bench.git("update-ref", "--no-deref", "HEAD", sides[0], extra=extra)
    bench.git("read-tree", "--reset", "-u", sides[0], extra=extra)
    # Since 2.34 git's default is another strategy, which renames such files differently.
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
    # Git renames a file in the place of a folder to `NAME~COMMIT`, as merge-tree does.
    merged = bench.files(tree).keys()
    made_up = merged - bench.files(sides[0]).keys() - bench.files(sides[1]).keys()
    renamed = {name.rpartition("~")[0]: name for name in made_up}
    named = {path if path in merged else renamed.get(path, path): stages[path] for path in stages}
    return Merged(tree, named)


def _stages(lines: list[str]) -> dict[str, dict[int, Entry]]:
    stages: dict[str, dict[int, Entry]] = {}
    for line in filter(None, lines):
        about, _, path = line.partition("\t")
        mode, oid, stage = about.split(" ")
        stages.setdefault(path, {})[int(stage)] = Entry(mode, oid)
    return stages


def resolve(
    bench: Workbench,
    merged: Merged,
    base: Mapping[str, Entry],
    ours: Mapping[str, Entry],
    theirs: Mapping[str, Entry],
    own: Collection[str] = (),
) -> Resolved:
    """Settle every path that both sides changed, whether git found a conflict in it or not.

    Args:
        bench: The repository that holds the trees.
        merged: The outcome of git's merge.
        base, ours, theirs: Their files.
        own: Files of the user's that are not merged with Rung's.
    """
    resolved = Resolved(merged.tree)
    changes: Changes = {}
    versions = _settle_presence(merged, (base, ours, theirs), resolved, changes)
    clean = _changed_on_both(merged, base, ours, theirs)
    _settle_contents(bench, versions, clean, own, resolved, changes)
    resolved.tree = bench.edited(merged.tree, changes)
    resolved.conflicts.sort(key=lambda conflict: conflict.path)
    return resolved


def _settle_presence(
    merged: Merged, sides: Sequence[Mapping[str, Entry]], resolved: Resolved, changes: Changes
) -> dict[str, Versions]:
    """Settle the paths that are missing on one side; return the versions of the others.

    Args:
        merged: The outcome of git's merge.
        sides: The files of base, ours and theirs.
        resolved, changes: The outcome is added to these.
    """
    _, ours, theirs = sides
    versions: dict[str, Versions] = {}
    for path, stages in merged.stages.items():
        our_entry, their_entry = stages.get(OURS), stages.get(THEIRS)
        if not any(path in files for files in sides):
            # Git renamed the file to `NAME~COMMIT`. The user's keeps its path; Rung's is left out.
            real = path.rpartition("~")[0]
            changes[path] = None
            if _can_be_own(real):
                resolved.own.append(real)  # a file, folder or link of the user's
            else:
                resolved.conflicts.append(Conflict(real, KIND))
            if real in ours:
                changes |= {below: None for below in theirs if below.startswith(f"{real}/")}
                changes[real] = ours[real]
        elif our_entry and their_entry:
            versions[path] = (stages.get(BASE), our_entry, their_entry)
        elif our_entry:
            changes[path] = our_entry
            resolved.kept.append(path)
        elif their_entry and BASE in stages:
            changes[path] = None
            resolved.gone.append(path)
        else:
            changes[path] = their_entry
    unsettled = {*resolved.own, *(conflict.path for conflict in resolved.conflicts)}
    resolved.kept = [path for path in resolved.kept if path not in unsettled]
    return versions


def _changed_on_both(
    merged: Merged,
    base: Mapping[str, Entry],
    ours: Mapping[str, Entry],
    theirs: Mapping[str, Entry],
) -> dict[str, Versions]:
    """Return the versions of the paths that both sides changed and git merged cleanly."""
    return {
        path: (base.get(path), ours[path], theirs[path])
        for path in ours.keys() & theirs.keys() - merged.stages.keys()
        if ours[path] != theirs[path] and ours[path] != base.get(path) != theirs[path]
    }


def _settle_contents(
    bench: Workbench,
    versions: Mapping[str, Versions],
    clean: Mapping[str, Versions],
    own: Collection[str],
    resolved: Resolved,
    changes: Changes,
) -> None:
    """Merge the contents that both sides changed, or keep the user's file.

    Args:
        bench: The repository that holds the contents.
        versions: Paths that git could not merge.
        clean: Paths that git merged.
        own: Files of the user's that are not merged with Rung's.
        resolved, changes: The outcome is added to these.
    """
    every = {**versions, **clean}
    texts = bench.contents(entry.oid for three in every.values() for entry in three if entry)
    for path, three in sorted(every.items()):
        settled = _settled(path, three, texts, clean=path in clean)
        unsettled = isinstance(settled, Conflict) or (
            settled is not None and settled[1] is not None
        )
        if path in own or (unsettled and _can_be_own(path) and _is_own(three, texts)):
            resolved.own.append(path)
            changes[path] = three[1]
        elif isinstance(settled, Conflict):
            resolved.conflicts.append(settled)
            changes[path] = three[1]
        elif settled is not None:
            content, conflict, keyed = settled
            changes[path] = Entry(_mode(three), bench.store(content))
            if conflict:
                resolved.conflicts.append(conflict)
            if keyed:
                resolved.by_key.append(path)


def _can_be_own(path: str) -> bool:
    """Say whether the project works with a file of the user's in place of Rung's."""
    return not path.startswith(MACHINERY) and path not in REQUIRED


def _is_own(three: Versions, texts: Mapping[str, bytes]) -> bool:
    """Say whether the user's file was never Rung's, as they have hardly a line in common.

    A file that was cut down to a few of Rung's lines does not count as the user's own.
    """
    base, ours, _ = three
    if base is None:
        return True
    if not ours.is_text_file:
        return True  # a link or a submodule
    if not {base.oid, ours.oid} <= texts.keys():
        return False
    rendered, written = texts[base.oid], texts[ours.oid]
    if not (line_merge.is_text(rendered) and line_merge.is_text(written)):
        return False
    known, kept = (
        {line.strip() for line in text.splitlines() if line.strip()} for text in (rendered, written)
    )
    return len(known) >= FEWEST and len(known & kept) < SHARED * min(len(known), len(kept))


def _settled(
    path: str,
    three: Versions,
    texts: Mapping[str, bytes],
    *,
    clean: bool,
) -> Conflict | tuple[bytes, Conflict | None, bool] | None:
    """Return the merged content, its conflict or None, and whether it was merged by key.

    Or the conflict alone where there is no merged content, or None where git's clean merge stands.
    """
    base, ours, theirs = three
    if not ours.is_text_file or not theirs.is_text_file:
        return Conflict(path, KIND)
    if ours.oid == theirs.oid or (base and base.oid in (ours.oid, theirs.oid)):
        # One side changed at most the executable bit.
        changed = theirs.oid if base and base.oid == ours.oid else ours.oid
        return None if clean else (texts.get(changed, b""), None, False)
    if any(entry.oid not in texts for entry in three if entry):
        return None if clean else Conflict(path, BINARY)
    base_text, our_text, their_text = (texts[entry.oid] if entry else b"" for entry in three)
    if not (line_merge.is_text(our_text) and line_merge.is_text(their_text)):
        return None if clean else Conflict(path, BINARY)
    ends = line_merge.line_ends(our_text)
    base_text, their_text = (
        line_merge.with_line_ends(content, ends) for content in (base_text, their_text)
    )
    their_text = line_merge.with_own_schedules(base_text, our_text, their_text)
    text, conflicts = line_merge.merge(base_text, our_text, their_text)
    if not conflicts and (parses(path, text) or not parses(path, our_text)):
        return text, None, False
    if path == line_merge.PAGE:
        merged = line_merge.merge_page(
            *(line_merge.with_line_ends(text, b"\n") for text in (base_text, our_text, their_text))
        )
        return line_merge.with_line_ends(merged, ends), None, False
    keyed = _by_key(path, base_text, our_text, their_text)
    if keyed is not None:
        return line_merge.with_line_ends(keyed, ends), None, True
    if line_merge.takes_both(path):
        return line_merge.merge(base_text, our_text, their_text, favor="union")[0], None, False
    if not conflicts:
        return Conflict(path, UNREADABLE)
    return text, Conflict(path, LINES, tuple(hunks(text))), False


def _by_key(path: str, base: bytes, ours: bytes, theirs: bytes) -> bytes | None:
    try:
        three = (
            content.replace(b"\r\n", b"\n").decode("utf-8") for content in (base, ours, theirs)
        )
        return key_merge.merge(path, *three).encode("utf-8")
    except (UnicodeDecodeError, UnmergeableError):
        return None


def parses(path: str, content: bytes) -> bool:
    """Say whether a file parses as Python, TOML or YAML, by its suffix; others always do."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return True  # git merged it as text; nothing more is known
    if PurePosixPath(path).suffix == ".py":
        try:
            ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
        return True
    return key_merge.parses(path, text)


def _mode(three: Versions) -> str:
    base, ours, theirs = three
    return theirs.mode if base and ours.mode == base.mode else ours.mode
