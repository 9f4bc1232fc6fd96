"""Merge RUNG.md: Rung writes its page, and what people add to it is kept below a separate line.

The page changes with every rung and every newer template, so a merge by lines would leave a conflict
where somebody has edited it.
"""

from rung.core.merging import line_merge

NAME = "RUNG.md"
LINE = b"<!-- Yours: Rung leaves alone what stands below this line. -->"


def merge(base: bytes, ours: bytes, theirs: bytes) -> bytes:
    """Return Rung's new page with the person's edits; those that meet Rung's go below the line.

    Args:
        base: The page as Rung rendered it last.
        ours: The page of the project, with line ends as the others have them.
        theirs: The page that Rung renders now.
    """
    (base_part, _), (our_part, own), (their_part, _) = (
        _split(text) for text in (base, ours, theirs)
    )
    text, _ = line_merge.merge(base_part, our_part, their_part, favor="theirs")
    return b"".join([_ended(text), LINE, b"\n", _ended(own), _missing(our_part, base_part, text)])


def _split(text: bytes) -> tuple[bytes, bytes]:
    """Return Rung's part of a page, and what is below the line."""
    their_part, _, own = text.partition(LINE)
    return their_part, own.removeprefix(b"\n")


def _missing(our_part: bytes, base_part: bytes, merged: bytes) -> bytes:
    """Return the lines that the person has written and the merged page does not have."""
    known = {line.strip() for text in (base_part, merged) for line in text.splitlines()}
    return b"".join(line + b"\n" for line in our_part.splitlines() if line.strip() not in known)


def _ended(text: bytes) -> bytes:
    return text if not text or text.endswith(b"\n") else text + b"\n"
