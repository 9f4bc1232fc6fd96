"""What a merge came to: what was settled how, and what is left for a person."""

from dataclasses import dataclass, field

from rung.merging.hunks import Hunk

LINES, BINARY, KIND, UNREADABLE, MOVED = "lines", "binary", "kind", "unreadable", "moved"


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
