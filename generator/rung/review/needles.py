"""Which letters a text must have before a regular expression can match it."""

import re
from functools import cache
from typing import Any

_parser: Any = re._parser  # type: ignore[attr-defined]  # it has no public name
LEAST = 3  # letters


@cache  # a fleet is read by the same expressions
def of(regex: str) -> tuple[str, ...]:
    """Return lower-case texts of which one is in every match; none where that cannot be said."""
    found = _of(_parser.parse(regex, re.IGNORECASE | re.MULTILINE))
    return tuple(sorted(found)) if found else ()


def _of(sequence: Any) -> set[str] | None:
    """Return the best set of needles of a sequence: the one whose shortest is longest."""
    options: list[set[str]] = []
    run = ""
    for operation, argument in sequence:
        name = str(operation)
        if name == "LITERAL" and chr(argument).isascii():
            run += chr(argument).lower()
            continue
        if len(run) >= LEAST:
            options.append({run})
        run = ""
        inner: set[str] | None = None
        if name == "BRANCH":
            parts = [_of(branch) for branch in argument[1]]
            if all(parts):
                inner = set().union(*(part for part in parts if part))
        elif name == "SUBPATTERN":
            inner = _of(argument[3])
        elif name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT") and argument[0] >= 1:
            inner = _of(argument[2])
        if inner:
            options.append(inner)
    if len(run) >= LEAST:
        options.append({run})
    return max(options, key=lambda option: min(map(len, option)), default=None)
