"""The functions of a Python file, where each begins and ends, and which others of it each calls."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from rung.check.review.python_source import Source

DEF = re.compile(r"^([ \t]*)(?:async[ \t]+)?def[ \t]+(\w+)[ \t]*", re.MULTILINE)
# The name that is defined is not called there.
DEFINED = re.compile(r"(def(?<!\wdef)[ \t]+\w+)\(")
CALLED = re.compile(r"(?<![\w.])(?:(?:self|cls)\.)?([A-Za-z_]\w*)[ \t]*\(")
LONGEST = 1_000  # lines of a function
MOST = 400  # functions of one file
MOST_FOLLOWED = 40  # functions that one of them leads to


@dataclass(frozen=True)
class Function:
    """A function of a file.

    Attributes:
        name: empty for what the file does outside of functions.
        lines: the numbers of its lines, from 1, with its `def`.
        calling: all lines of the file, in which a call differs from a definition.
    """

    name: str
    lines: frozenset[int]
    calling: list[str]

    @cached_property
    def calls(self) -> frozenset[str]:
        """Names that it calls."""
        body = "\n".join(self.calling[number - 1] for number in sorted(self.lines))
        return frozenset(CALLED.findall(body))

    @property
    def line(self) -> int:
        """Where it begins."""
        return min(self.lines, default=1)


def read(source: Source) -> dict[str, Function]:
    """Return the functions of a file by their names, and the code outside of them as ""."""
    code = source.code.split("\n")
    calling = DEFINED.sub("", source.code).split("\n")
    inside: set[int] = set()
    functions: dict[str, Function] = {}
    for match in DEF.finditer(source.code):
        if len(functions) >= MOST:
            break
        line = source.line(match.start())
        first = source.line(_signature_ends(source.code, match.end()))
        last = _ends(code[: first + LONGEST], first, len(match[1].expandtabs()))
        functions[match[2]] = Function(match[2], frozenset(range(line, last + 1)), calling)
        inside.update(range(line, last + 1))
    outside = frozenset(range(1, len(code) + 1)) - inside
    functions[""] = Function("", outside, calling)
    return functions


def text(source: Source) -> str:
    """Return the text of a file in which a call differs from a definition."""
    return DEFINED.sub(r"\1 (", source.text)


def leads_to(function: Function, functions: Mapping[str, Function]) -> Iterator[Function]:
    """Give a function and those of the same file that it calls, each once."""
    visited = {function.name}
    waiting = [function]
    while waiting and len(visited) <= MOST_FOLLOWED:
        one = waiting.pop()
        yield one
        for name in sorted(one.calls & functions.keys() - visited):
            visited.add(name)
            waiting.append(functions[name])


def _signature_ends(code: str, position: int) -> int:
    """Return where the parameters of a function end; its name's end where that is unknown."""
    depth = 0
    for at in range(position, min(len(code), position + 4_000)):
        depth += (code[at] in "([{") - (code[at] in ")]}")
        if depth <= 0:
            return at
    return position


def _ends(code: list[str], line: int, indent: int) -> int:
    """Return the last line of a body, which is indented deeper than its `def`."""
    for number in range(line, len(code)):
        bare = code[number].lstrip()
        if bare and len(code[number].expandtabs()) - len(bare.expandtabs()) <= indent:
            return number
    return len(code)
