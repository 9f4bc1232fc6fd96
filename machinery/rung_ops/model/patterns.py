"""Match texts against the patterns of the contract, which polars checked in training.

Python's engine is available where rows are decoded, and gives the same verdict on plain patterns in
the same time. On others it differs, or takes for ever on a text made for that: those go to polars,
whose engine takes linear time.
"""

import re
from collections.abc import Callable

import polars as pl

# Escapes that mean the same in both engines; \z is written \Z in Python.
SAME = set("dDwWsSnrt" + r".^$*+?()[]{}|\/-&~#_'\"<>=!:,;%@` ")
REPEATED = re.compile(r"[*+?]|\{\d*(,\d*)?\}")


def python_pattern(pattern: str) -> str | None:
    """Write a pattern for Python's engine; None if it would not be the same or not be fast."""
    written: list[str] = []
    in_class = False
    unbounded = position = 0
    while position < len(pattern):
        sign = pattern[position]
        if sign == "\\":
            escaped = pattern[position + 1 : position + 2]
            if escaped == "z" and not in_class:
                written.append(r"\Z")
            elif escaped in SAME and escaped:
                written.append(sign + escaped)
            else:
                return None
            position += 2
            continue
        if in_class:
            # Classes in classes, and sets of them, are polars' alone.
            if sign == "[" or pattern[position : position + 2] in ("&&", "--", "~~"):
                return None
            in_class = sign != "]" or (pattern[position - 1] in "[^" and _opens(pattern, position))
        elif sign == "[":
            in_class = True
        elif sign == "(" and pattern[position + 1 : position + 2] == "?":
            if pattern[position + 2 : position + 3] != ":":
                return None
        elif sign == "$":
            # Python's $ also matches before a last line break.
            sign = r"\Z"
        elif repeat := REPEATED.match(pattern, position):
            # A repeated group, or two repetitions without bound, can take for ever.
            unbounded += repeat[0] in ("*", "+") or repeat[0].endswith(",}")
            if pattern[position - 1 : position] == ")" or unbounded > 1:
                return None
            sign = repeat[0]
        written.append(sign)
        position += len(sign) if sign != r"\Z" else 1
    text = "".join(written)
    try:
        re.compile(text)
    except re.error:
        return None
    return text


def _opens(pattern: str, position: int) -> bool:
    """Tell whether a ] is the first sign of its class, and so no end."""
    start = pattern.rfind("[", 0, position)
    return pattern[start + 1 : position] in ("", "^")


def matcher(pattern: str) -> Callable[[str], bool]:
    """Make a function that tells whether a text matches as polars has it."""
    text = python_pattern(pattern)
    if text is not None:
        search = re.compile(text).search
        return lambda value: search(value) is not None
    return lambda value: bool(pl.Series([value], dtype=pl.String).str.contains(pattern)[0])
