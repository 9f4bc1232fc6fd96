"""The outcome of a merge: what was settled, and the conflicts that are left for the user."""

from dataclasses import dataclass, field

LINES, BINARY, KIND, UNREADABLE = "lines", "binary", "kind", "unreadable"
# The first words of every refusal for a conflict; the changelog promises them.
NO_FILES_CHANGED = "Merge conflict. No files were changed."
OURS, MIDDLE, THEIRS = b"<<<<<<< yours", b"=======", b">>>>>>> rung"  # markers


@dataclass(frozen=True)
class Hunk:
    """A group of lines in conflict.

    Args:
        line: Where it begins in the user's file, from 1.
        ours: The user's lines there.
        theirs: Rung's lines there.
    """

    line: int
    ours: str
    theirs: str


@dataclass(frozen=True)
class Conflict:
    """A file for which the user has to decide.

    Args:
        path: Its path.
        why: lines (both changed the same), binary (both changed a binary file), kind
            (a file on one side, a folder or a link on the other), unreadable (the lines merge,
            and the result does not parse).
        hunks: The groups of lines, where `why` is lines.
    """

    path: str
    why: str
    hunks: tuple[Hunk, ...] = ()


@dataclass
class Resolved:
    """The outcome of a merge, settled path by path.

    Args:
        tree: All files. Conflicts of lines have markers; in other conflicts the user's file is kept.
        conflicts: What is left for the user.
        kept: Files that Rung retires and the user has edited; they stay.
        gone: Files that the user deleted and Rung has changed since; they stay away.
        own: Files of the user's with the name of one of Rung's; they stay.
        by_key: Files merged key by key.
    """

    tree: str
    conflicts: list[Conflict] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    own: list[str] = field(default_factory=list)
    by_key: list[str] = field(default_factory=list)


def hunks(marked: bytes) -> list[Hunk]:
    """Return the hunks between markers, numbered by the lines of the user's own file."""
    hunks: list[Hunk] = []
    ours: list[bytes] | None = None
    theirs: list[bytes] | None = None
    number = start = 1
    for line in marked.splitlines(keepends=True):
        bare = line.rstrip(b"\r\n")
        if ours is None and bare == OURS:
            ours, start = [], number
        elif ours is not None and theirs is None and bare == MIDDLE:
            theirs = []
        elif ours is not None and theirs is not None and bare == THEIRS:
            hunks.append(Hunk(start, _text(ours), _text(theirs)))
            ours = theirs = None
        elif theirs is not None:
            theirs.append(line)
        else:
            number += 1
            if ours is not None:
                ours.append(line)
    return hunks


def _text(lines: list[bytes]) -> str:
    return b"".join(lines).decode("utf-8", "replace")
