"""RULESDOC"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import polars as pl

from rung_ops.model.columns import PYTHON, Column, since_1970

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


Holds = Callable[[Any], bool]


class Check(NamedTuple):
    """A rule that msgspec does not check.

    Attributes:
        holds: tells whether a decoded value keeps it.
        published: the rule in keywords of JSON Schema; empty where JSON Schema has none for it, as
            for the order of texts and dates.
    """

    holds: Holds
    published: dict[str, Any]


LIMITS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
# What fits into a column: JSON has no limits, and a frame would raise for the whole batch.
INTEGERS: dict[str, tuple[int, int]] = {
    **{f"Int{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"UInt{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64)},
}
LARGEST_FLOAT32 = 3.4028234663852886e38
LARGEST = 2**63 - 1  # that msgspec compares with

_NANOSECONDS = timedelta(microseconds=LARGEST // 1000)  # before and after 1970


def value_type(column: Column) -> tuple[Any, list[Check]]:
    """Make the type of a column's values, and the checks to be made of a decoded value."""
    if column.isin is not None:
        return _listed(column)
    if column.family == "int":
        return _integer(column)
    if column.family == "float":
        return _number(column)
    if column.family == "str":
        return _text(column)
    checks = [_compared(name, limit) for name, limit in column.bounds.items()]
    if column.family == "datetime" and str(column.dtype).startswith("Datetime(time_unit='ns'"):
        checks.append(Check(lambda value: abs(since_1970(value)) <= _NANOSECONDS, {}))
    return _python_type(column), checks


def _python_type(column: Column) -> Any:
    if column.without_offset:
        return Annotated[datetime, msgspec.Meta(tz=False)]
    return PYTHON[column.family]


def _listed(column: Column) -> tuple[Any, list[Check]]:
    """Type a column with a list of values; what of them breaks another rule is not allowed."""
    checks = [_compared(name, limit) for name, limit in column.bounds.items()]
    if column.pattern is not None:
        checks.append(_matching(column.pattern))
    allowed = [value for value in column.isin or [] if all(check.holds(value) for check in checks)]
    if allowed and column.family == "str":
        return Literal[tuple(allowed)], []
    if allowed and column.family == "int" and all(abs(value) <= LARGEST for value in allowed):
        return Literal[tuple(allowed)], []
    if column.family == "datetime":
        moments = {since_1970(value) for value in allowed}
        # A moment can be written with any offset, so a list of texts would publish too little.
        return _python_type(column), [Check(lambda value: since_1970(value) in moments, {})]
    listed = [value.isoformat() if column.family == "date" else value for value in allowed]
    return PYTHON[column.family], [Check(set(allowed).__contains__, {"enum": listed})]


def _integer(column: Column) -> tuple[Any, list[Check]]:
    least, most = INTEGERS[str(column.dtype)]
    bounds = column.bounds
    least = max(least, bounds.get("ge", least), bounds.get("gt", least - 1) + 1)
    most = min(most, bounds.get("le", most), bounds.get("lt", most + 1) - 1)
    if least >= -LARGEST - 1 and most <= LARGEST:
        return Annotated[int, msgspec.Meta(ge=least, le=most)], []
    published = {"minimum": least, "maximum": most}
    return int, [Check(lambda value: least <= value <= most, published)]


def _number(column: Column) -> tuple[Any, list[Check]]:
    # One limit on each side is msgspec's; of two the other is checked here.
    limits: dict[str, Any] = {}
    checks = []
    bounds = column.bounds
    if column.dtype == pl.Float32:
        least = max(-LARGEST_FLOAT32, bounds.get("ge", -LARGEST_FLOAT32))
        most = min(LARGEST_FLOAT32, bounds.get("le", LARGEST_FLOAT32))
        bounds = bounds | {"ge": least, "le": most}
    for name, limit in bounds.items():
        if limits.keys() & ({"ge", "gt"} if name in ("ge", "gt") else {"le", "lt"}):
            checks.append(_compared(name, limit))
        else:
            limits[name] = limit
    return (Annotated[float, msgspec.Meta(**limits)] if limits else float), checks


def _text(column: Column) -> tuple[Any, list[Check]]:
    least, most = column.lengths
    rules: dict[str, Any] = {"min_length": least, "max_length": most}
    checks = [_compared(name, limit) for name, limit in column.bounds.items()]
    if column.pattern is not None:
        rules["pattern"] = python_pattern(column.pattern)
        if rules["pattern"] is None:
            checks.append(_matching(column.pattern))
    rules = {name: rule for name, rule in rules.items() if rule is not None}
    return (Annotated[str, msgspec.Meta(**rules)] if rules else str), checks


def _matching(pattern: str) -> Check:
    return Check(matcher(pattern), {"pattern": pattern})


def _compared(name: str, limit: Any) -> Check:
    if isinstance(limit, datetime):
        compare = _comparison(name, since_1970(limit))
        return Check(lambda value: compare(since_1970(value)), {})
    published = {LIMITS[name]: limit} if isinstance(limit, int | float) else {}
    return Check(_comparison(name, limit), published)


def _comparison(name: str, limit: Any) -> Holds:
    return {
        "ge": lambda value: value >= limit,
        "gt": lambda value: value > limit,
        "le": lambda value: value <= limit,
        "lt": lambda value: value < limit,
    }[name]
