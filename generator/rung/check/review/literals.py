"""The literals that a text must hold before a regular expression can match it."""

import re
import sys
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from rung.errors import RungError


def regex_parser() -> Any:
    """Return the module that parses regular expressions.

    Raises:
        RungError: This Python has none.
    """
    parser = getattr(re, "_parser", None)
    if parser is None:
        raise RungError(
            f"Python {sys.version_info.major}.{sys.version_info.minor} has no `re._parser`, which "
            "`rung check` needs.\nRun Rung with Python 3.11, 3.12 or 3.13."
        )
    return parser


_parser = regex_parser()
LEAST = 2  # letters


@dataclass(frozen=True)
class RequiredLiterals:
    """Lower-case bytes that must be there, all or one of them.

    Attributes:
        parts: the bytes, and needs of their own.
        every: whether all of them are needed.
    """

    parts: tuple["bytes | RequiredLiterals", ...]
    every: bool

    def met_by(self, held: bytes | AbstractSet[bytes]) -> bool:
        """Say whether it is met by a text, or by literals that a text is known to hold."""
        for each in self.parts:
            met = each in held if isinstance(each, bytes) else each.met_by(held)
            if met is not self.every:
                return met
        return self.every

    @cached_property
    def best(self) -> tuple[bytes, ...]:
        """Needles of which one must be there: those whose shortest is longest."""
        options = [(each,) if isinstance(each, bytes) else each.best for each in self.parts]
        if self.every:
            return max(options, key=lambda option: min(map(len, option)))
        return tuple(sorted({literal for option in options for literal in option}))

    @property
    def is_one(self) -> bool:
        """Say whether a single literal is needed, and nothing else."""
        return isinstance(self.simplest, bytes)

    @property
    def simplest(self) -> "bytes | RequiredLiterals":
        """What is needed, a single part as itself."""
        return self.parts[0] if len(self.parts) == 1 else self

    def literals(self) -> Iterator[bytes]:
        """Give all the bytes that it names."""
        for each in self.parts:
            yield from (each,) if isinstance(each, bytes) else each.literals()


@cache  # a fleet is read by the same expressions
def required_by(regex: str) -> RequiredLiterals | None:
    """Return what a text must have for an expression to match; None if that is unknown."""
    return _of(_parser.parse(regex, re.IGNORECASE | re.MULTILINE))


def _of(sequence: Any, run: str = "") -> RequiredLiterals | None:
    """Return what is needed of a sequence that follows a run of letters."""
    parts: list[bytes | RequiredLiterals] = []
    for operation, argument in [*sequence, ("END", None)]:
        name = str(operation)
        if name == "LITERAL" and chr(argument).isascii():
            run += chr(argument).lower()
            continue
        if len(run) >= LEAST:
            parts.append(run.encode())
        before, run = run, ""
        inner: RequiredLiterals | None = None
        if name == "BRANCH":
            branches = [required for branch in argument[1] if (required := _of(branch, before))]
            if len(branches) == len(argument[1]):
                inner = RequiredLiterals(tuple(one.simplest for one in branches), every=False)
        elif name == "SUBPATTERN":
            inner = _of(argument[3], before)
        elif name == "IN" and all(str(kind) == "LITERAL" for kind, _ in argument):
            inner = RequiredLiterals(tuple(chr(code).encode() for _, code in argument), every=False)
        elif name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT") and argument[0] >= 1:
            inner = _of(argument[2], before)
        if inner:
            parts.append(inner.simplest)
    return RequiredLiterals(tuple(parts), every=True) if parts else None
