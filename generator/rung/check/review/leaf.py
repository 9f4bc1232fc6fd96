"""A predicate as levels/ state it: which files it reads, and what one of them must hold to match."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rung.check.review import literals
from rung.check.review.literals import RequiredLiterals

FLAGS = re.IGNORECASE | re.MULTILINE
CODE = ("**/*.py", "**/*.ipynb")
BY_TOKENS = ("imports", "calls")


@dataclass(frozen=True)
class Leaf:
    """A predicate that reads files.

    Attributes:
        kind: its name.
        value: what is at its name.
        options: what is beside it.
    """

    kind: str
    value: Any
    options: Mapping[str, Any]

    @cached_property
    def globs(self) -> tuple[str, ...]:
        """The names of the files that it reads."""
        if self.kind == "exists":
            return tuple(self.value)
        return tuple(self.options.get("in", CODE))

    @cached_property
    def regexes(self) -> list[re.Pattern[str]]:
        """The regular expressions it states."""
        values = [self.value] if isinstance(self.value, str) else self.value
        return [re.compile(value, FLAGS) for value in values]

    @cached_property
    def required_literals(self) -> tuple[RequiredLiterals, ...]:
        """What a file must have to match, the most telling first: in Python each on one line."""
        if self.kind == "key":
            names = [part for part in re.split(r"[.*]+", self.value) if part]
            longest = max(names, key=len, default="").lower().encode()
            return (RequiredLiterals((longest,), every=True),) if longest else ()
        stated = {
            "text": [self.value],
            "function": [*self.options.get("body", []), self.value],
        }
        required = filter(None, map(literals.required_by, stated.get(self.kind, [])))
        return tuple(sorted(required, key=lambda one: -_shortest(one.best)))

    @cached_property
    def best_literals(self) -> tuple[bytes, ...]:
        """Lower-case bytes, one of which a file must have to match."""
        return self.required_literals[0].best if self.required_literals else ()

    @cached_property
    def cheapest_first(self) -> list[tuple[re.Pattern[str], RequiredLiterals | None]]:
        """The expressions of a body with what each needs, the most telling first."""
        body = self.options["body"]
        expressions = [(re.compile(each, FLAGS), literals.required_by(each)) for each in body]
        return sorted(expressions, key=lambda one: -_shortest(one[1].best if one[1] else ()))

    @cached_property
    def required_tokens(self) -> Mapping[bytes, Sequence[Sequence[bytes]]]:
        """Tokens, one of which a file must have to match, each with the names that it is part of."""
        required: dict[bytes, list[list[bytes]]] = defaultdict(list)
        for name in self.value:
            parts = name.encode().split(b".")
            required[max(parts, key=len)].append(parts)
        return required

    @cached_property
    def literals(self) -> set[bytes]:
        """All that is looked for in a file to say whether it may match, in lower case."""
        if self.kind in BY_TOKENS:
            return {token.lower() for token in self.required_tokens}
        return {literal for one in self.required_literals for literal in one.literals()}

    @cached_property
    def wanted(self) -> frozenset[str]:
        """The names it states."""
        return frozenset(self.value)

    @cached_property
    def last_parts(self) -> frozenset[str]:
        """What is after the last dot of each of them."""
        return frozenset(name.rpartition(".")[2] for name in self.value)


def _shortest(literals_of_it: tuple[bytes, ...]) -> int:
    return min(map(len, literals_of_it), default=0)
