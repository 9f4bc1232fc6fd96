"""Resolve what git's merge by lines could not: by key, by pattern, by who deleted; or report it."""

import ast
from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePosixPath

from rung.core.merging import key_merge, line_merge, page_merge
from rung.core.merging.blocks import UnmergeableError
from rung.core.merging.conflict import BINARY, KIND, LINES, UNREADABLE, Conflict, Resolved, hunks
from rung.core.merging.tree_merge import BASE, OURS, THEIRS, Merged
from rung.core.rendering.workbench import Entry, Workbench
from rung.levels.answers import ANSWERS

Changes = dict[str, Entry | None]  # by path; None: the file goes
Versions = tuple[Entry | None, Entry, Entry]  # base, ours, theirs

MACHINERY = ("ops/", "machinery/")  # would not work with a foreign file in it
SHARED = 0.2  # of Rung's lines, and of the user's; a file with fewer was rewritten
FEWEST = 5  # lines of Rung's; of fewer an edit leaves too little to know a file by
REQUIRED = {
    ANSWERS,
    "pyproject.toml",
    "ops",
    "machinery",
    "vendor",
}  # no climb works without Rung's part of these


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
        bench: Where the trees stand.
        merged: What git's merge of them came to.
        base, ours, theirs: Their files.
        own: Files of the user's that are merged with nothing of Rung's.
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
    """Settle the paths of which a side has no file; return the versions of the other ones.

    Args:
        merged: What git's merge came to.
        sides: The files of base, ours and theirs.
        resolved, changes: What is settled goes here.
    """
    _, ours, theirs = sides
    versions: dict[str, Versions] = {}
    for path, stages in merged.stages.items():
        our_entry, their_entry = stages.get(OURS), stages.get(THEIRS)
        if not any(path in files for files in sides):
            # Git puts the file aside, as `data~commit`. Yours stays where it was; Rung's is left out.
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
        bench: Where the contents are.
        versions: Those that git could not merge.
        clean: Those that git merged.
        own: Files of the user's that are merged with nothing of Rung's.
        resolved, changes: The outcome goes here.
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
    """Say whether the project works where a file of the user's replaces Rung's."""
    return not path.startswith(MACHINERY) and path not in REQUIRED


def _is_own(three: Versions, texts: Mapping[str, bytes]) -> bool:
    """Say whether the user's file never was Rung's: hardly a line is in both.

    A page cut down to a few of Rung's lines, and a file of a line or two, say nothing of that sort.
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
    """Return the merged content, its conflict if it has one, and whether it was merged by key.

    None stands for git's own clean merge, which is fine.
    """
    base, ours, theirs = three
    if not ours.is_text_file or not theirs.is_text_file:
        return Conflict(path, KIND)
    if ours.oid == theirs.oid or (base and base.oid in (ours.oid, theirs.oid)):
        # Only the executable bit differs on one of the sides.
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
    text, conflicts = line_merge.merge(base_text, our_text, their_text)
    if not conflicts and (parses(path, text) or not parses(path, our_text)):
        return text, None, False
    if path == page_merge.NAME:
        merged = page_merge.merge(
            *(line_merge.with_line_ends(one, b"\n") for one in (base_text, our_text, their_text))
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
    merge = key_merge.kind(path)
    if merge is None:
        return None
    try:
        three = (
            content.replace(b"\r\n", b"\n").decode("utf-8") for content in (base, ours, theirs)
        )
        return merge(*three).encode("utf-8")
    except (UnicodeDecodeError, UnmergeableError):
        return None


def parses(path: str, content: bytes) -> bool:
    """Say whether a file is readable as what its name says."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return True  # git took it for text; nothing more is known
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
