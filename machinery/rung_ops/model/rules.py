"""The rules of a contract: what a value of a column may be, judged in one place.

rules_of() lists the rules of a column. Each of them judges a single value, as a row in JSON has it,
and a whole column, as a table of Arrow or the prediction log has it. Training judges with pandera; a
test holds that all of them agree.

A pattern means what Polars' engine takes it for, which needs linear time. Where rows are decoded,
Python's engine is at hand and gives the same verdict on plain patterns of plain texts; whatever it
might judge differently or slowly goes to Polars.
"""

import operator
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from struct import pack, unpack
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import polars as pl

from rung_ops.model.columns import INTEGERS, PYTHON, SECOND, Column, rule_words, since_1970, ticks

Holds = Callable[[Any], bool]

COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    name: getattr(operator, name) for name in ("ge", "gt", "le", "lt")
}
PUBLISHED = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "min_length": "minLength",
    "max_length": "maxLength",
    "pattern": "pattern",
}
LARGEST_FLOAT32 = 3.4028234663852886e38
LARGEST = 2**63 - 1  # that msgspec compares with
_NANOSECONDS = timedelta(microseconds=LARGEST // 1000)  # before and after 1970


class Rule(NamedTuple):
    """One rule of a column; a null breaks none."""

    words: str  # as "at most 9999"
    holds: Holds  # whether a decoded value keeps it
    kept: Callable[[pl.Series], pl.Series]  # whether each value keeps it; null for a null
    published: dict[str, Any]  # in JSON Schema; empty where that has none, as for dates


def rules_of(column: Column) -> list[Rule]:
    """List the rules of a column, in the order in which Column.words names them."""
    return [_rule(column, name, limit) for name, limit in column.rules.items()]


def broken(column: Column, values: pl.Series) -> list[tuple[str, pl.Series]]:
    """Return each rule in words, and which of the logged values break it, shape (n_values,)."""
    judged = [("must not be empty", missing(values))] if column.required else []
    return judged + [(r.words, (~r.kept(values)).fill_null(False)) for r in rules_of(column)]


def missing(values: pl.Series) -> pl.Series:
    """Tell which values are missing: null and NaN are the same."""
    return values.fill_nan(None).is_null() if values.dtype.is_float() else values.is_null()


def _rule(column: Column, name: str, limit: Any) -> Rule:
    words, comparable = rule_words(name, limit), _comparable(column)
    published = {PUBLISHED[name]: limit} if name in PUBLISHED else {}
    if name == "pattern":
        return Rule(words, matcher(limit), lambda v: comparable(v).str.contains(limit), published)
    if name in ("min_length", "max_length"):
        measured = operator.ge if name == "min_length" else operator.le
        return Rule(
            words,
            lambda value: measured(len(value), limit),
            lambda values: measured(comparable(values).str.len_chars(), limit),
            published,
        )
    if name == "isin":
        return _listed_rule(column, limit, words)
    compare, small = COMPARISONS[name], _limit(column, name, limit)
    of_series = _scalar(column, limit)
    if column.family == "datetime":
        moment = since_1970(limit)
        return Rule(
            words,
            lambda value: compare(since_1970(value), moment),
            lambda values: compare(comparable(values), of_series),
            {},
        )
    return Rule(
        words,
        lambda value: compare(value, small),
        lambda values: compare(comparable(values), of_series),
        published if isinstance(limit, int | float) else {},
    )


def _listed_rule(column: Column, listed: list[Any], words: str) -> Rule:
    comparable = _comparable(column)
    allowed = [_scalar(column, value) for value in listed]

    def kept(values: pl.Series) -> pl.Series:
        held = comparable(values)
        return held.is_in(pl.Series(allowed, dtype=held.dtype, strict=False).implode())

    if column.family == "datetime":
        moments = {since_1970(value) for value in listed}
        # A moment can be written with any offset, so a list of texts would publish too little.
        return Rule(words, lambda value: since_1970(value) in moments, kept, {})
    if column.dtype == pl.Float32:
        rounded = {_rounded_to_32(value) for value in listed}
        published = {"enum": listed}
        return Rule(words, lambda value: _rounded_to_32(value) in rounded, kept, published)
    shown = [value.isoformat() if column.family == "date" else value for value in listed]
    return Rule(words, set(listed).__contains__, kept, {"enum": shown})


def _comparable(column: Column) -> Callable[[pl.Series], pl.Series]:
    """Return what makes values comparable with limits: times become ticks, NaN null."""
    if isinstance(column.dtype, pl.Datetime):
        dtype = column.dtype
        return lambda values: values.cast(dtype, strict=False).cast(pl.Int64)
    if column.dtype == pl.Float32:
        return lambda values: values.cast(pl.Float32).fill_nan(None)
    if column.family == "float":
        return lambda values: values.cast(pl.Float64).fill_nan(None)
    if column.family == "str":
        return lambda values: values.cast(pl.String)
    return lambda values: values


def _scalar(column: Column, limit: Any) -> Any:
    """Convert a limit to what _comparable() makes of values."""
    if isinstance(column.dtype, pl.Datetime):
        return ticks(limit, SECOND[column.dtype.time_unit])
    return _rounded_to_32(limit) if column.dtype == pl.Float32 else limit


def _limit(column: Column, name: str, limit: Any) -> Any:
    """Return a limit for decoded values, which 32 bits have not rounded yet."""
    if column.dtype != pl.Float32:
        return limit
    both = limit, _rounded_to_32(limit)
    return min(both) if name in ("ge", "lt") else max(both)


def _rounded_to_32(value: float) -> float:
    try:
        return float(unpack("f", pack("f", value))[0])
    except OverflowError:
        return value


def value_type(column: Column) -> tuple[Any, list[Rule]]:
    """Make the type that msgspec decodes a column's values as, and list the rules left to check."""
    if "isin" in column.rules:
        return _listed(column)
    if column.family == "int":
        return _integer(column)
    if column.family == "float":
        return _number(column)
    if column.family == "str":
        return _text(column)
    checks = rules_of(column)
    if column.family == "datetime" and str(column.dtype).startswith("Datetime(time_unit='ns'"):
        checks.append(_fits(lambda value: abs(since_1970(value)) <= _NANOSECONDS))
    return _python_type(column), checks


def _fits(holds: Holds, published: dict[str, Any] | None = None) -> Rule:
    """Make a rule of what a type holds; a column of that type keeps it."""
    return Rule("", holds, lambda values: values.is_not_null(), published or {})


def _python_type(column: Column) -> Any:
    if column.without_offset:
        return Annotated[datetime, msgspec.Meta(tz=False)]
    return PYTHON[column.family]


def _listed(column: Column) -> tuple[Any, list[Rule]]:
    """Type a column with a list of values; what of them breaks another rule is not allowed."""
    others = [_rule(column, name, limit) for name, limit in column.rules.items() if name != "isin"]
    allowed = [value for value in column.rules["isin"] if all(rule.holds(value) for rule in others)]
    if allowed and column.family == "str":
        return Literal[tuple(allowed)], []
    if allowed and column.family == "int" and all(abs(value) <= LARGEST for value in allowed):
        return Literal[tuple(allowed)], []
    return _python_type(column), [_rule(column, "isin", allowed)]


def _integer(column: Column) -> tuple[Any, list[Rule]]:
    least, most = INTEGERS[str(column.dtype)]
    rules = column.rules
    least = max(least, rules.get("ge", least), rules.get("gt", least - 1) + 1)
    most = min(most, rules.get("le", most), rules.get("lt", most + 1) - 1)
    if all(-LARGEST - 1 <= limit <= LARGEST for limit in (least, most)):
        return Annotated[int, msgspec.Meta(ge=least, le=most)], []
    published = {"minimum": least, "maximum": most}
    return int, [_fits(lambda value: least <= value <= most, published)]


def _number(column: Column) -> tuple[Any, list[Rule]]:
    # One limit on each side is msgspec's; of two the other is checked here.
    limits: dict[str, Any] = {}
    checks = []
    rules = {name: _limit(column, name, limit) for name, limit in column.rules.items()}
    if column.dtype == pl.Float32:
        rules["ge"] = max(-LARGEST_FLOAT32, rules.get("ge", -LARGEST_FLOAT32))
        rules["le"] = min(LARGEST_FLOAT32, rules.get("le", LARGEST_FLOAT32))
    for name, limit in rules.items():
        if limits.keys() & ({"ge", "gt"} if name in ("ge", "gt") else {"le", "lt"}):
            checks.append(_rule(column, name, limit))
        else:
            limits[name] = limit
    return (Annotated[float, msgspec.Meta(**limits)] if limits else float), checks


def _text(column: Column) -> tuple[Any, list[Rule]]:
    meta: dict[str, Any] = {}
    checks = []
    for name, limit in column.rules.items():
        decoded = limit
        if name == "pattern":
            text, in_ascii = _written(limit)
            decoded = None if in_ascii else text
        if name in COMPARISONS or decoded is None:
            checks.append(_rule(column, name, limit))
        else:
            meta[name] = decoded
    return (Annotated[str, msgspec.Meta(**meta)] if meta else str), checks


# Escapes that mean the same in both engines; \z is written \Z in Python.
SAME = "nrt" + r".^$*+?()[]{}|\/-&~#_'\"=!:,;%@` "
CLASSES = "dDwWsS"  # mean the same for texts in ASCII only
_ESCAPE = rf"\\[{re.escape(SAME + CLASSES)}]"
# Classes in classes, and sets of them, are Polars' alone.
_CLASS = rf"\[\^?+\]?+(?:{_ESCAPE}|[^\[\]\\&~-]|&(?!&)|~(?!~)|-(?!-))*\]"
_REPEAT = r"[*+?]|\{\d+(?:,\d*)?\}"
# A repeated group can take forever, and a repetition of a repetition is possessive in Python.
_PLAIN = re.compile(
    rf"(?:(?:{_CLASS}|{_ESCAPE}|[^\\^$|?*+()\[{{])(?:(?:{_REPEAT})\??)?|\\z|\((?:\?:)?|[)|^$])*",
    re.DOTALL,
)
_TOKEN = re.compile(rf"{_CLASS}|\(\?:|\\.|(?P<repeat>(?:{_REPEAT})\??)|.", re.DOTALL)
WAYS = 10_000  # in which bounded repetitions of a pattern may share a text


def matcher(pattern: str) -> Holds:
    """Make a function that tells whether a text matches as Polars has it."""
    text, in_ascii = _written(pattern)

    def by_polars(value: str) -> bool:
        return bool(pl.Series([value], dtype=pl.String).str.contains(pattern)[0])

    if text is None:
        return by_polars
    search = re.compile(text, re.ASCII if in_ascii else 0).search
    if not in_ascii:
        return lambda value: search(value) is not None
    return lambda value: search(value) is not None if value.isascii() else by_polars(value)


def _written(pattern: str) -> tuple[str | None, bool]:
    """Write a pattern for Python's engine, and tell whether it is the same in ASCII only.

    The text is None where it would not be the same, or not fast.
    """
    if _PLAIN.fullmatch(pattern) is None:
        return None, False
    written, unbounded, ways = "", 0, 1
    for token in _TOKEN.finditer(pattern):
        # Python's $ also matches before a last line break.
        written += r"\Z" if token[0] in ("$", r"\z") else token[0]
        if repeat := token["repeat"]:
            numbers = re.findall(r"\d+", "{0,1}" if repeat.startswith("?") else repeat)
            if repeat[0] in "*+" or ",}" in repeat:
                unbounded += 1
            else:
                ways *= int(numbers[-1]) - int(numbers[0]) + 1
    # From any place of a text, even one repetition without bound takes the square of its length.
    anchored = pattern.startswith("^") and "|" not in pattern
    if unbounded > 1 or ways > WAYS or (unbounded and not anchored):
        return None, False
    try:
        re.compile(written)
    except re.error:
        return None, False
    return written, any(each[0][1] in CLASSES for each in re.finditer(r"\\.", pattern, re.DOTALL))
