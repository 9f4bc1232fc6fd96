"""Merge text by lines with `git merge-file`: with markers, or both sides where order is free.

RUNG.md changes with every rung, so there Rung's text wins, and the user's moves below a line of its own.
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

    `favor` keeps `union` (both) or `theirs` instead of markers where both changed the same lines.
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
    """Return Rung's text with the user's schedules: Rung only proposes when a job starts."""
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
    """Return Rung's new page with the user's edits; those in conflict move below the line."""
    (base, _, _), (ours, _, own), (theirs, _, _) = (
        text.partition(YOURS_BELOW) for text in (base, ours, theirs)
    )
    text, _ = merge(base, ours, theirs, favor="theirs")
    known = {line.strip() for part in (base, text) for line in part.splitlines()}
    missing = [line + b"\n" for line in ours.splitlines() if line.strip() not in known]
    below = _ended(own.removeprefix(b"\n"))
    return b"".join([_ended(text), YOURS_BELOW, b"\n", below, *missing])


def _ended(text: bytes) -> bytes:
    return text if not text or text.endswith(b"\n") else text + b"\n"
