"""The places in a text where two sides met: line, both sides."""

from dataclasses import dataclass

OURS, MIDDLE, THEIRS = b"<<<<<<< yours", b"=======", b">>>>>>> rung"


@dataclass(frozen=True)
class Hunk:
    """One place of a conflict.

    Args:
        line: Where it begins in the user's file, from 1.
        yours: The user's lines there.
        rung: Rung's lines there.
    """

    line: int
    yours: str
    rung: str


def hunks(marked: bytes) -> list[Hunk]:
    """Return the places between markers, numbered by the lines of the user's own file."""
    found: list[Hunk] = []
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
            found.append(Hunk(start, _text(ours), _text(theirs)))
            ours = theirs = None
        elif theirs is not None:
            theirs.append(line)
        else:
            number += 1
            if ours is not None:
                ours.append(line)
    return found


def _text(lines: list[bytes]) -> str:
    return b"".join(lines).decode("utf-8", "replace")
