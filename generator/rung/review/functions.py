"""The functions of a Python file, each with what it does itself and through the others of the file."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rung.review.python_source import Source

DEF = re.compile(r"^([ \t]*)(?:async[ \t]+)?def[ \t]+(\w+)[ \t]*", re.MULTILINE)
CALLED = re.compile(r"(?<![\w.])(?:(?:self|cls)\.)?([A-Za-z_]\w*)[ \t]*\(")
LONGEST = 1_000  # lines of a function
MOST = 400  # functions of one file
MOST_FOLLOWED = 40  # functions that one of them leads to


@dataclass(frozen=True)
class Function:
    """A function of a file.

    Attributes:
        name: empty for what the file does outside of functions.
        line: of its `def`, from 1.
        code: its lines without the content of strings.
        text: its lines with it.
    """

    name: str
    line: int
    code: str
    text: str


def read(source: Source) -> list[Function]:
    """Return the functions of a file in its order, and after them what stands outside of them."""
    code, text = source.code.split("\n"), source.text.split("\n")
    inside: set[int] = set()
    found: list[Function] = []
    for match in DEF.finditer(source.code):
        if len(found) >= MOST:
            break
        line = source.code.count("\n", 0, match.start())
        first = source.code.count("\n", 0, _signature_ends(source.code, match.end()))
        last = _ends(code[: first + LONGEST], first + 1, len(match[1].expandtabs()))
        # What follows the signature on its line belongs to the body, and what the name says.
        bodies = (
            "\n".join([f"{match[2]} {lines[first].rpartition(':')[2]}", *lines[first + 1 : last]])
            for lines in (code, text)
        )
        found.append(Function(match[2], line + 1, *bodies))
        inside.update(range(line, last))
    alone = (
        "\n".join("" if number in inside else line for number, line in enumerate(lines))
        for lines in (code, text)
    )
    return [*found, Function("", 1, *alone)]


def leads_to(function: Function, functions: Mapping[str, Function]) -> Iterator[str]:
    """Give the name of a function and of those in the same file that it calls, each once."""
    seen = {function.name}
    waiting = [function]
    while waiting and len(seen) <= MOST_FOLLOWED:
        one = waiting.pop()
        yield one.name
        for name in CALLED.findall(one.code):
            if name in functions and name not in seen:
                seen.add(name)
                waiting.append(functions[name])


def _signature_ends(code: str, place: int) -> int:
    """Return where the parameters of a function end; its name's end where that is not said."""
    depth = 0
    for at in range(place, min(len(code), place + 4_000)):
        depth += (code[at] in "([{") - (code[at] in ")]}")
        if depth <= 0:
            return at
    return place


def _ends(code: list[str], line: int, indent: int) -> int:
    """Return the number of the first line after a body that is indented deeper than its `def`."""
    for number in range(line, len(code)):
        bare = code[number].lstrip()
        if bare and len(code[number].expandtabs()) - len(bare.expandtabs()) <= indent:
            return number
    return len(code)
