"""Merge three trees: by lines with git, then by key, by pattern, by who deleted what (decision 19).

Whatever these cannot settle is reported as a conflict. Git needs no work tree for it, except a
version before 2.43, which merges in a temporary one.
"""

import re
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rung.core.merging import key_merge, line_merge
from rung.core.merging.conflict import BINARY, KIND, LINES, UNREADABLE, Conflict, Resolved, hunks
from rung.core.merging.key_merge import UnmergeableError
from rung.core.rendering.workbench import Entry, Files, Workbench
from rung.errors import RungError
from rung.levels.template_answers import ANSWERS
from rung.system import git

SINCE = (2, 43)  # `git merge-tree -X`; `--merge-base` came with 2.40
BASE, OURS, THEIRS = 1, 2, 3  # git's numbers for the versions of a path in conflict
Stages = dict[int, Entry]  # the versions of a path in conflict, by git's numbers
Versions = tuple[Entry | None, Entry, Entry]  # base, ours, theirs

MACHINERY = ("ops/", "machinery/")  # does not work with another file in place of its own
SHARED = 0.2  # a file with a smaller share of common lines is the user's own
FEWEST = 5  # lines; a shorter file of Rung's cannot be recognised after an edit
# No climb works without Rung's part of these.
REQUIRED = {ANSWERS, "pyproject.toml", "ops", "machinery", "vendor"}


def merge(
    bench: Workbench, base: str, ours: str, theirs: str, own: Collection[str] = ()
) -> Resolved:
    """Merge two trees over their base, except the user's files `own`, whatever git found there."""
    tree, stages = _merged_by_lines(bench, base, ours, theirs)
    sides = [bench.files(t) for t in (base, ours, theirs)]
    base_files, our_files, their_files = sides
    resolved, changes = Resolved(tree), dict[str, Entry | None]()  # None: the file goes
    versions = _settle_presence(stages, sides, resolved, changes)
    clean = {  # both sides changed them, and git merged them
        path: (base_files.get(path), our_files[path], their_files[path])
        for path in our_files.keys() & their_files.keys() - stages.keys()
        if our_files[path] != base_files.get(path) != their_files[path] != our_files[path]
    }
    versions |= clean
    texts = bench.contents(entry.oid for three in versions.values() for entry in three if entry)
    for path, three in sorted(versions.items()):
        settled = _settled(path, three, texts, clean=path in clean)
        conflict = settled.conflict if settled else None
        if path in own or (conflict and _can_be_own(path) and _is_own(three, texts)):
            resolved.own.append(path)
            settled = _Settled()
        elif conflict:
            resolved.conflicts.append(conflict)
        if settled is not None:
            was, mine, rungs = three
            changes[path] = mine
            if settled.content is not None:
                mode = rungs.mode if was and mine.mode == was.mode else mine.mode
                changes[path] = Entry(mode, bench.store(settled.content))
            resolved.by_key += [path] if settled.by_key else []
    resolved.tree = bench.edited(tree, changes)
    resolved.conflicts.sort(key=lambda conflict: conflict.path)
    return resolved


def _merged_by_lines(
    bench: Workbench, base: str, ours: str, theirs: str
) -> tuple[str, dict[str, Stages]]:
    """Merge two trees with git; return all files, and the versions of paths in conflict.

    Git must not look for renames: it would take a retired file and a similar new one for a rename,
    and move the user's edit there (decision 19, renames).
    """
    root = bench.git("commit-tree", base, "-m", "base", extra=git.SAME_EVERYWHERE).strip()
    sides = [
        bench.git("commit-tree", tree, "-p", root, "-m", name, extra=git.SAME_EVERYWHERE).strip()
        for tree, name in ((ours, "yours"), (theirs, "rung"))
    ]
    if version() < SINCE:
        return _merged_in_a_work_tree(bench, sides)
    options = ("--write-tree", "-z", "--no-messages", "-X", "no-renames", f"--merge-base={root}")
    code, output = bench.attempt("merge-tree", *options, *sides)
    if code > 1:
        raise RungError(f"Git could not merge the trees:\n{output.strip()}")
    tree, *lines = output.split("\0")
    return tree, _stages(lines)


@cache
def version() -> tuple[int, ...]:
    """Return git's version, such as (2, 47)."""
    output = git.run(Path.cwd(), "version")
    match = re.search(r"(\d+)\.(\d+)", output)
    return tuple(map(int, match.groups())) if match else (0, 0)


def _merged_in_a_work_tree(bench: Workbench, sides: list[str]) -> tuple[str, dict[str, Stages]]:
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
    return tree, named


def _stages(lines: list[str]) -> dict[str, Stages]:
    stages: dict[str, Stages] = {}
    for line in filter(None, lines):
        about, _, path = line.partition("\t")
        mode, oid, stage = about.split(" ")
        stages.setdefault(path, {})[int(stage)] = Entry(mode, oid)
    return stages


def _settle_presence(
    conflicts: Mapping[str, Stages],
    sides: Sequence[Files],
    resolved: Resolved,
    changes: dict[str, Entry | None],
) -> dict[str, Versions]:
    """Settle the paths that are missing on one side; return the versions of the others."""
    _, ours, theirs = sides
    versions: dict[str, Versions] = {}
    for path, stages in conflicts.items():
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


def _can_be_own(path: str) -> bool:
    """Say whether the project works with a file of the user's in place of Rung's."""
    return not path.startswith(MACHINERY) and path not in REQUIRED


def _is_own(three: Versions, texts: Mapping[str, bytes]) -> bool:
    """Say whether the user's file was never Rung's: hardly a line of the shorter one is common."""
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
    known, kept = ({*map(bytes.strip, text.splitlines())} - {b""} for text in (rendered, written))
    return len(known) >= FEWEST and len(known & kept) < SHARED * min(len(known), len(kept))


@dataclass(frozen=True)
class _Settled:
    """A merged content, or None where the user's file stays; what conflicts in it; and how it came."""

    content: bytes | None = None
    conflict: Conflict | None = None
    by_key: bool = False


def _settled(
    path: str, three: Versions, texts: Mapping[str, bytes], *, clean: bool
) -> _Settled | None:
    """Merge a file that both sides changed; None: git's clean merge stands."""
    base, ours, theirs = three
    if not ours.is_text_file or not theirs.is_text_file:
        return _Settled(conflict=Conflict(path, KIND))
    if ours.oid == theirs.oid or (base and base.oid in (ours.oid, theirs.oid)):
        # One side changed at most the executable bit.
        changed = theirs.oid if base and base.oid == ours.oid else ours.oid
        return None if clean else _Settled(texts.get(changed, b""))
    known = all(entry is None or entry.oid in texts for entry in three)
    base_text, our_text, their_text = (
        texts.get(entry.oid, b"") if entry else b"" for entry in three
    )
    if not (known and line_merge.is_text(our_text) and line_merge.is_text(their_text)):
        return None if clean else _Settled(conflict=Conflict(path, BINARY))
    ends = line_merge.line_ends(our_text)
    base_text = line_merge.with_line_ends(base_text, ends)
    their_text = line_merge.with_line_ends(their_text, ends)
    their_text = line_merge.with_own_schedules(base_text, our_text, their_text)
    text, conflicts = line_merge.merge(base_text, our_text, their_text)
    if not conflicts and (parses(path, text) or not parses(path, our_text)):
        return _Settled(text)
    if path == line_merge.PAGE:
        merged = line_merge.merge_page(
            *(line_merge.with_line_ends(text, b"\n") for text in (base_text, our_text, their_text))
        )
        return _Settled(line_merge.with_line_ends(merged, ends))
    keyed = _by_key(path, base_text, our_text, their_text)
    if keyed is not None:
        return _Settled(line_merge.with_line_ends(keyed, ends), by_key=True)
    if line_merge.takes_both(path):
        return _Settled(line_merge.merge(base_text, our_text, their_text, favor="union")[0])
    if not conflicts:
        return _Settled(conflict=Conflict(path, UNREADABLE))
    return _Settled(text, Conflict(path, LINES, tuple(hunks(text))))


def _by_key(path: str, base: bytes, ours: bytes, theirs: bytes) -> bytes | None:
    try:
        three = (text.replace(b"\r\n", b"\n").decode("utf-8") for text in (base, ours, theirs))
        return key_merge.merge(path, *three).encode("utf-8")
    except (UnicodeDecodeError, UnmergeableError):
        return None


def parses(path: str, content: bytes) -> bool:
    """Say whether a file parses as Python, TOML or YAML, by its suffix; others always do."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return True  # git merged it as text; nothing more is known
    return key_merge.parses(path, text)
