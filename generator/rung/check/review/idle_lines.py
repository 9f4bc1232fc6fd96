"""Lines of a Python file that never run: below a condition that is false, and in tests that are skipped."""

import re
from collections.abc import Iterator

from rung.check.review.lines import lines_containing

NEVER = re.compile(rb"([ \t]*)if[ \t]+(?:False|0|(?:typing\.)?TYPE_CHECKING)[ \t]*:")
NEVER_ENDS = (b"if False:", b"if 0:", b"TYPE_CHECKING:")  # to look for them is fast
SKIPPED = re.compile(
    rb"^([ \t]*)(?:@(?:pytest\.mark|unittest)\.skip(?![\w.])[^\n]*"
    rb"|(?:async[ \t]+)?def[^\n]*:\n[ \t]+(?:pytest\.skip|self\.skipTest)\()",
    re.MULTILINE,
)
SKIPS_ALL = re.compile(
    rb"^(?:pytestmark[ \t]*=[ \t\n\[]*pytest\.mark\.skip\b(?!if)|pytest\.skip\([^\n]*allow_module_level)",
    re.MULTILINE,
)


def lines(raw: bytes, is_test: bool) -> frozenset[int]:
    """Return the numbers of the lines that never run, from 1."""
    skipped = is_test and b"skip" in raw
    if skipped and SKIPS_ALL.search(raw):
        return frozenset(range(1, raw.count(b"\n") + 2))
    starts = list(SKIPPED.finditer(raw)) if skipped else []
    for end in NEVER_ENDS:
        spans = lines_containing(raw, end) if end in raw else ()
        starts += [match for begin, _ in spans if (match := NEVER.match(raw, begin))]
    written = raw.split(b"\n") if starts else []
    found: set[int] = set()
    for match in starts:
        found.update(_block(written, raw.count(b"\n", 0, match.start()), len(match[1])))
    return frozenset(found)


def _block(written: list[bytes], first: int, indent: int) -> Iterator[int]:
    """Give the lines of a block, with decorators and the signature above it."""
    inside = False
    for at in range(first, len(written)):
        line = written[at]
        bare = line.lstrip()
        deeper = len(line) - len(bare) > indent
        if bare and inside and not deeper and bare[:1] not in b")]":
            return
        inside = inside or deeper
        yield at + 1
