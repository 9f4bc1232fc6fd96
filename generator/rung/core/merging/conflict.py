"""The outcome of a merge: what was settled, and the conflicts that are left for the user."""

import re
from dataclasses import dataclass, field

LINES, BINARY, KIND, UNREADABLE = "lines", "binary", "kind", "unreadable"
# The first words of every refusal for a conflict; the changelog promises them.
NO_FILES_CHANGED = "Merge conflict. No files were changed."
OURS = b"<<<<<<< yours"  # a marker
HUNK = re.compile(
    b"^" + OURS + rb"\r?\n(.*?)^=======\r?\n(.*?)^>>>>>>> rung\r?$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Hunk:
    """A group of lines in conflict, and where it begins in the user's file, from 1."""

    line: int
    ours: str
    theirs: str


@dataclass(frozen=True)
class Conflict:
    """A file for which the user has to decide.

    `why`: lines (both changed the same), binary (both changed a binary file), kind (a file on one side, a
    folder or a link on the other), unreadable (the lines merge, and the result does not parse).
    """

    path: str
    why: str
    hunks: tuple[Hunk, ...] = ()


@dataclass
class Resolved:
    """The outcome of a merge, settled path by path.

    In the tree, conflicts of lines have markers; in others the user's file is kept. `kept`: Rung retires
    them and the user has edited them. `gone`: the user deleted them and Rung has changed them since.
    `own`: the user's files with the name of one of Rung's.
    """

    tree: str
    conflicts: list[Conflict] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    own: list[str] = field(default_factory=list)
    by_key: list[str] = field(default_factory=list)


def hunks(marked: bytes) -> list[Hunk]:
    """Return the hunks between markers, numbered by the lines of the user's own file."""
    found, added = [], 0  # lines that are not the user's
    for match in HUNK.finditer(marked):
        line = 1 + marked.count(b"\n", 0, match.start()) - added
        ours, theirs = (side.decode("utf-8", "replace") for side in match.groups())
        found.append(Hunk(line, ours, theirs))
        added += 3 + match[2].count(b"\n")
    return found
