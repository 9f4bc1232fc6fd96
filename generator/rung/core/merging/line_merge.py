"""Merge text by lines with `git merge-file`: with markers, or both sides where order is free.

RUNG.md is merged in its own way: it changes with every rung and every newer template, so an edited
one would often be in conflict. Rung's text wins there, and what the user wrote moves below a line
of its own.
"""

import re
import tempfile
from pathlib import Path, PurePosixPath

from rung.errors import RungError
from rung.system import git

PAGE = "RUNG.md"
YOURS_BELOW = b"<!-- Yours: Rung leaves alone what stands below this line. -->"
# A line of YAML that says when something starts, in the form of cron.
SCHEDULE = re.compile(rb'^[ \t-]*(?:cron|schedule):[ ]"[-\d*/, ]+"', re.MULTILINE)
IGNORES = (".gitignore", ".dockerignore", ".dvcignore", ".gitattributes", ".prettierignore")


def takes_both(path: str) -> bool:
    """Say whether a file is a list of patterns, which may hold the lines of both sides."""
    name = PurePosixPath(path).name
    return name in IGNORES or name.endswith((".dockerignore", ".gitignore"))


def merge(base: bytes, ours: bytes, theirs: bytes, *, favor: str = "") -> tuple[bytes, int]:
    """Return the merged text, with markers `yours` and `rung`, and how many conflicts it has.

    Args:
        base, ours, theirs: The texts.
        favor: What to keep where both changed the same lines, instead of markers: `union` (both)
            or `theirs`.

    Raises:
        RungError: It is not text.
    """
    options = [f"--{favor}"] if favor else ["-L", "yours", "-L", "before", "-L", "rung"]
    with tempfile.TemporaryDirectory(prefix="rung-") as folder:
        directory = Path(folder)
        for name, content in (("ours", ours), ("base", base), ("theirs", theirs)):
            (directory / name).write_bytes(content)
        extra = {"GIT_DIR": str(directory), **git.NO_USER_CONFIG}
        arguments = ("merge-file", "-p", "-q", *options, "ours", "base", "theirs")
        done = git.completed(directory, *arguments, extra=extra)
    if done.returncode > 127:
        raise RungError(done.stderr.decode(errors="replace").strip() or "git merge-file failed")
    return done.stdout, done.returncode


def with_own_schedules(base: bytes, ours: bytes, theirs: bytes) -> bytes:
    """Return Rung's text with each schedule as it was where the user has changed it.

    Rung only proposes when a job starts, so another proposal is no conflict.
    """
    before, proposed = SCHEDULE.findall(base), SCHEDULE.findall(theirs)
    own = set(before) - set(SCHEDULE.findall(ours))
    if not own or len(before) != len(proposed):
        return theirs
    kept = iter([was if was in own else new for was, new in zip(before, proposed, strict=True)])
    return SCHEDULE.sub(lambda _: next(kept), theirs)


def is_text(content: bytes) -> bool:
    """Say whether git treats a content as text: no zero byte in its first 8000."""
    return b"\0" not in content[:8000]


def line_ends(content: bytes) -> bytes:
    """Return how most lines of a text end."""
    carried = content.count(b"\r\n")
    return b"\r\n" if carried * 2 > content.count(b"\n") else b"\n"


def with_line_ends(content: bytes, ends: bytes) -> bytes:
    """Return a text with these line ends."""
    plain = content.replace(b"\r\n", b"\n")
    return plain if ends == b"\n" else plain.replace(b"\n", b"\r\n")


def merge_page(base: bytes, ours: bytes, theirs: bytes) -> bytes:
    """Return Rung's new page with the user's edits; those in conflict move below the line.

    Args:
        base: The page as Rung rendered it last.
        ours: The page of the project.
        theirs: The page that Rung renders now. All three have the same line ends.
    """
    (base_part, _), (our_part, own), (their_part, _) = (
        _split(text) for text in (base, ours, theirs)
    )
    text, _ = merge(base_part, our_part, their_part, favor="theirs")
    return b"".join(
        [_ended(text), YOURS_BELOW, b"\n", _ended(own), _missing_lines(our_part, base_part, text)]
    )


def _split(text: bytes) -> tuple[bytes, bytes]:
    """Return Rung's part of a page, and the user's below the line."""
    their_part, _, own = text.partition(YOURS_BELOW)
    return their_part, own.removeprefix(b"\n")


def _missing_lines(our_part: bytes, base_part: bytes, merged: bytes) -> bytes:
    """Return the user's lines that the merged page lacks."""
    known = {line.strip() for text in (base_part, merged) for line in text.splitlines()}
    return b"".join(line + b"\n" for line in our_part.splitlines() if line.strip() not in known)


def _ended(text: bytes) -> bytes:
    return text if not text or text.endswith(b"\n") else text + b"\n"
