"""Python source without its comments and docstrings: what it imports, calls and says.

It is read by its tokens and not by a parser, so that Python 2, notebooks with `%magic` and files
that do not parse are read as well, and no nesting is too deep.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

# Each string runs to its end or, where it has none, to the end of the line or file, so that nothing
# is looked at twice.
TOKEN = re.compile(
    r'#[^\n]*|(?<![\w])[rbuRBUfF]{0,2}(?:"""(?:[^"\\]|\\.|"(?!""))*+(?:""")?'
    r"|'''(?:[^'\\]|\\.|'(?!''))*+(?:''')?"
    r'|"(?:[^"\\\n]|\\.)*+"?'
    r"|'(?:[^'\\\n]|\\.)*+'?)"
    r"""|"(?:[^"\\\n]|\\.)*+"?|'(?:[^'\\\n]|\\.)*+'?""",
    re.DOTALL,
)
IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+(?P<of>\.*[\w.]*)[ \t]+import[ \t]*(?P<names>\([^)]{0,4000}\)|[^\n;]*)"
    r"|import[ \t]+(?P<modules>[^\n;]*))",
    re.MULTILINE,
)
CALL = re.compile(r"(?<![\w.])([A-Za-z_][\w.]*|\.[\w.]+)[ \t]*\(")
DEFINED = re.compile(r"\b(?:def|class)[ \t]+$")
DERIVED = re.compile(r"^[ \t]*class[ \t]+\w+[ \t]*\(([^)]{0,1000})\)", re.MULTILINE)
DECORATOR = re.compile(r"^[ \t]*@[ \t]*([\w.]+)", re.MULTILINE)
LINE_END = re.compile(r"\n")
NAME = re.compile(r"[A-Za-z_][\w.]*")
MOST_CALLS = 20_000  # of one file
KEYWORDS = {
    "import",
    "if",
    "elif",
    "while",
    "and",
    "or",
    "not",
    "in",
    "return",
    "yield",
    "await",
    "print",
}


@dataclass
class Source:
    """A Python file.

    Attributes:
        text: without comments and docstrings, with the lines where they were.
        code: without the content of strings as well.
        raw: as it is written.
    """

    text: str
    code: str
    raw: str = ""
    aliases: dict[str, str] = field(default_factory=dict)

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(match.end() for match in LINE_END.finditer(self.code))]

    def line(self, place: int) -> int:
        """Return the number of the line, from 1, in which a place of the code stands."""
        return bisect_right(self._starts, place)

    @cached_property
    def imports(self) -> dict[str, int]:
        """Dotted names that are imported, relative ones with their dots, and the line of each."""
        found: dict[str, int] = {}
        for match in IMPORT.finditer(self.code):
            line = self.line(match.start())
            for name, alias in _imported(match):
                found.setdefault(name, line)
                if alias:
                    self.aliases[alias] = name
        return found

    @cached_property
    def calls(self) -> dict[str, int]:
        """Dotted names that are called, that decorate or are derived from, and the first line."""
        assert self.imports is not None  # it fills the aliases
        found: dict[str, int] = {}
        for name, place in self._called():
            if len(found) > MOST_CALLS:
                break
            first, dot, rest = name.partition(".")
            if first not in KEYWORDS:
                full = self.aliases.get(first, first) + dot + rest
                found.setdefault(full, self.line(place))
        return found

    def _called(self) -> Iterator[tuple[str, int]]:
        for match in CALL.finditer(self.code):
            if not DEFINED.search(self.code, max(0, match.start() - 30), match.start()):
                yield match[1], match.start()
        for match in DERIVED.finditer(self.code):
            for name in NAME.findall(match[1]):
                yield name, match.start()
        for match in DECORATOR.finditer(self.code):
            yield match[1], match.start()


def _imported(match: re.Match[str]) -> Iterator[tuple[str, str]]:
    """Give each name that an import statement brings, and the name it has from then on."""
    if match["of"] is None:
        for part in match["modules"].split(","):
            words = part.split()
            if words:
                yield words[0], words[2] if len(words) > 2 else ""
        return
    yield match["of"], ""
    for part in match["names"].strip("()\\ \t").split(","):
        words = part.replace("\\", " ").split()
        if words and words[0] != "*":
            joined = match["of"] + ("" if match["of"].endswith(".") else ".") + words[0]
            yield joined, words[-1]


def read(text: str) -> Source:
    """Read the text of a Python file."""
    said: list[str] = []
    code: list[str] = []
    place = depth = 0
    line_start = True  # whether only blanks stand before the token on its line
    for match in TOKEN.finditer(text):
        between = text[place : match.start()]
        said.append(between)
        code.append(between)
        depth += sum(map(between.count, "([{")) - sum(map(between.count, ")]}"))
        tail = between.rpartition("\n")
        line_start = not tail[2].strip() and (bool(tail[1]) or line_start)
        token = match[0]
        lines = "\n" * token.count("\n")
        if token[0] != "#":
            is_docstring = line_start and depth <= 0
            said.append(lines if is_docstring else token)
            # A mark that no name has, so that what stands around a string is not joined.
            code.append(lines if is_docstring else f"''{lines}")
            line_start = line_start and is_docstring
        place = match.end()
    said.append(text[place:])
    code.append(text[place:])
    return Source("".join(said), "".join(code), text)


def shortened(text: str, most: int) -> str:
    """Return a text whose lines have at most so many characters."""
    if len(text) <= most or max(map(len, text.split("\n"))) <= most:
        return text
    return "\n".join(line[:most] for line in text.split("\n"))
