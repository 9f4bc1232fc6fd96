"""Settle what git's merge by lines could not: by key, by pattern, by who deleted; or say where."""

import ast
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from rung import project
from rung.climbing import by_key, in_text, page
from rung.climbing.blocks import UnmergeableError
from rung.climbing.hunks import Hunk, hunks
from rung.climbing.merge import BASE, OURS, THEIRS, Merged
from rung.climbing.workbench import Entry, Workbench

LINES, BINARY, KIND, UNREADABLE, MOVED = "lines", "binary", "kind", "unreadable", "moved"
MACHINERY = ("ops/", "machinery/")  # do not work with a file of somebody else's in it
OF_RUNGS = 0.2  # of Rung's lines, and of the user's; a file with fewer was written anew
FEWEST = 5  # lines of Rung's; of fewer an edit leaves too little to know a file by
NOBODYS_OWN = {
    project.ANSWERS,
    "pyproject.toml",
    "ops",
    "machinery",
    "vendor",
}  # without Rung's part no climb holds


@dataclass(frozen=True)
class Conflict:
    """A file that a person has to decide.

    Args:
        path: Which.
        why: lines (both changed the same), binary (both changed a file that is no text), kind
            (a file on one side, a folder or a link on the other), unreadable (the lines merge,
            and what comes out does not parse), moved (the user edited a file that has gone
            elsewhere).
        places: The places in it, for lines and moved.
        note: Where the edit goes, for moved.
    """

    path: str
    why: str
    places: tuple[Hunk, ...] = ()
    note: str = ""


@dataclass
class Resolved:
    """What the merge came to.

    Args:
        tree: All files; conflicts of lines stand between markers, of the others yours stands.
        conflicts: What is left for a person.
        kept: Files that Rung retires and the user has edited; they stay.
        gone: Files that the user deleted and Rung has changed since; they stay away.
        own: Files that the user has written where Rung has one of the same name; they stay.
        by_key: Files merged key by key.
    """

    tree: str
    conflicts: list[Conflict] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    own: list[str] = field(default_factory=list)
    by_key: list[str] = field(default_factory=list)


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
    done = Resolved(merged.tree)
    changes: dict[str, Entry | None] = {}
    versions: dict[str, tuple[Entry | None, Entry, Entry]] = {}
    for path, stages in merged.stages.items():
        mine, rungs = stages.get(OURS), stages.get(THEIRS)
        if not any(path in files for files in (base, ours, theirs)):
            # Git puts the file aside, as `data~commit`. Yours stays where it was; Rung's is left out.
            real = path.rpartition("~")[0]
            changes[path] = None
            if _can_be_own(real):
                done.own.append(real)  # a file, folder or link of the user's
            else:
                done.conflicts.append(Conflict(real, KIND))
            if real in ours:
                changes |= {below: None for below in theirs if below.startswith(f"{real}/")}
                changes[real] = ours[real]
        elif mine and rungs:
            versions[path] = (stages.get(BASE), mine, rungs)
        elif mine:
            changes[path] = mine
            done.kept.append(path)
        elif rungs and BASE in stages:
            changes[path] = None
            done.gone.append(path)
        else:
            changes[path] = rungs
    both = {
        path: (base.get(path), ours[path], theirs[path])
        for path in ours.keys() & theirs.keys() - merged.stages.keys()
        if ours[path] != theirs[path] and ours[path] != base.get(path) != theirs[path]
    }
    texts = bench.contents(
        entry.oid for three in (*versions.values(), *both.values()) for entry in three if entry
    )
    for path, three in sorted((versions | both).items()):
        found = _settled(path, three, texts, clean=path in both)
        unsettled = isinstance(found, Conflict) or (found is not None and found[1] is not None)
        if path in own or (unsettled and _can_be_own(path) and _is_own(three, texts)):
            done.own.append(path)
            changes[path] = three[1]
        elif isinstance(found, Conflict):
            done.conflicts.append(found)
            changes[path] = three[1]
        elif found is not None:
            content, conflict, keyed = found
            mode = _mode(three)
            changes[path] = Entry(mode, bench.store(content))
            if conflict:
                done.conflicts.append(conflict)
            if keyed:
                done.by_key.append(path)
    done.tree = bench.edited(merged.tree, changes)
    done.conflicts.sort(key=lambda conflict: conflict.path)
    return done


def _can_be_own(path: str) -> bool:
    """Say whether the project works where a file of the user's takes the place of Rung's."""
    return not path.startswith(MACHINERY) and path not in NOBODYS_OWN


def _is_own(three: tuple[Entry | None, Entry, Entry], texts: Mapping[str, bytes]) -> bool:
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
    if not (in_text.is_text(rendered) and in_text.is_text(written)):
        return False
    was, mine = (
        {line.strip() for line in text.splitlines() if line.strip()} for text in (rendered, written)
    )
    return len(was) >= FEWEST and len(was & mine) < OF_RUNGS * min(len(was), len(mine))


def _settled(
    path: str,
    three: tuple[Entry | None, Entry, Entry],
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
    was, mine, rungs = (texts[entry.oid] if entry else b"" for entry in three)
    if not (in_text.is_text(mine) and in_text.is_text(rungs)):
        return None if clean else Conflict(path, BINARY)
    ends = in_text.line_ends(mine)
    was, rungs = (in_text.with_line_ends(content, ends) for content in (was, rungs))
    text, conflicts = in_text.merge(was, mine, rungs)
    if not conflicts and (parses(path, text) or not parses(path, mine)):
        return text, None, False
    if path == page.NAME:
        merged = page.merge(*(in_text.with_line_ends(one, b"\n") for one in (was, mine, rungs)))
        return in_text.with_line_ends(merged, ends), None, False
    keyed = _by_key(path, was, mine, rungs)
    if keyed is not None:
        return in_text.with_line_ends(keyed, ends), None, True
    if in_text.takes_both(path):
        return in_text.merge(was, mine, rungs, favor="union")[0], None, False
    if not conflicts:
        return Conflict(path, UNREADABLE)
    return text, Conflict(path, LINES, tuple(hunks(text))), False


def _by_key(path: str, base: bytes, ours: bytes, theirs: bytes) -> bytes | None:
    merge = by_key.kind(path)
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
        return True  # git took it for text, and nobody can say more
    if PurePosixPath(path).suffix == ".py":
        try:
            ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
        return True
    return by_key.parses(path, text)


def _mode(three: tuple[Entry | None, Entry, Entry]) -> str:
    base, ours, theirs = three
    return theirs.mode if base and ours.mode == base.mode else ours.mode
