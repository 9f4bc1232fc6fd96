"""Python source without its comments and docstrings: what it imports, calls and says.

It is read by its tokens and not by a parser, so that Python 2, notebooks with `%magic` and files
that do not parse are read as well, and no nesting is too deep. Its patterns begin with a letter that
is rare: so far the search for a match costs next to nothing.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

# Each string runs to its end or, where it has none, to the end of the line or file, so that nothing
# is checked twice. Three quotes begin one unless a word other than a prefix precedes them.
TOKEN = re.compile(
    r"(#[^\n]*+"
    r'|"""(?:(?<!\w""")|(?<=\b[rbuRBUfF]""")|(?<=\b[rbuRBUfF]{2}"""))'
    r'[^"\\]*+(?:(?:\\.|"(?!""))[^"\\]*+)*+(?:""")?'
    r"|'''(?:(?<!\w''')|(?<=\b[rbuRBUfF]''')|(?<=\b[rbuRBUfF]{2}'''))"
    r"[^'\\]*+(?:(?:\\.|'(?!''))[^'\\]*+)*+(?:''')?"
    r'|"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"?'
    r"|'[^'\\\n]*+(?:\\.[^'\\\n]*+)*+'?)",
    re.DOTALL,
)
PREFIX = re.compile(r"(?<!\w)[rbuRBUfF]{1,2}\Z")
PREFIXES = frozenset("rbuRBUfF")
IMPORT = re.compile(
    r"\n[ \t]*+(?:from[ \t]+(?P<of>\.*[\w.]*)[ \t]+import[ \t]*(?P<names>\([^)]{0,4000}\)|[^\n;]*)"
    r"|import[ \t]+(?P<modules>[^\n;]*))"
)
# The same wherever a line begins so or a string ends, with comments, none part of another match.
MAY_IMPORT = re.compile(
    r"[\n\"'][ \t]*+(?:from[ \t]+(?P<of>\.*[\w.]*)[ \t]+import[ \t]*"
    r"(?=(?P<names>\((?:[^)#]|#[^\n]*+){0,40000}+\)|[^\n;]*))"
    r"|import[ \t]+(?=(?P<modules>[^\n;]*)))"
)
STRING_ENDS = re.compile("[\"']")
COMMENT = re.compile(r"#[^\n]*+")
DEFINED = re.compile(r"\b(?:def|class)[ \t]+\Z")
DERIVED = re.compile(r"\n[ \t]*+class[ \t]+\w+[ \t]*\(([^)]{0,1000})\)")
DECORATOR = re.compile(r"\n[ \t]*+@[ \t]*([\w.]+)")
NAME = re.compile(r"[A-Za-z_][\w.]*")
CALL = re.compile(r"\([ \t]*+([\w.]++)(?<=[A-Za-z_.])")  # of code turned round
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
        return [0, *accumulate(len(line) + 1 for line in self.code.split("\n"))][:-1]

    def line(self, position: int) -> int:
        """Return the number of the line, from 1, of a position in the code."""
        return bisect_right(self._starts, position)

    @cached_property
    def imports(self) -> dict[str, int]:
        """Dotted names that are imported, relative ones with their dots, and the line of each."""
        imports: dict[str, int] = {}
        line, position = 1, 0
        for match in IMPORT.finditer(f"\n{self.code}"):
            line += self.code.count("\n", position, match.start())
            position = match.start()
            for name, alias in _imported(match.groupdict()):
                imports.setdefault(name, line)
                if alias:
                    self.aliases[alias] = name
        return imports

    @cached_property
    def calls(self) -> dict[str, int]:
        """Dotted names that are called, that decorate or are derived from, and the first line."""
        assert self.imports is not None  # it fills the aliases
        calls: dict[str, int] = {}
        for name, position in self._called():
            if len(calls) > MOST_CALLS:
                break
            first, dot, rest = name.partition(".")
            if first not in KEYWORDS:
                full = self.aliases.get(first, first) + dot + rest
                if full not in calls:
                    calls[full] = self.line(position)
        return calls

    def _called(self) -> Iterator[tuple[str, int]]:
        end = len(self.code)
        for match in reversed(list(CALL.finditer(self.code[::-1]))):
            name, position = match[1][::-1], end - match.end()
            after_blank = position and self.code[position - 1] in " \t"
            if after_blank and DEFINED.search(self.code, max(0, position - 30), position):
                continue
            if name != ".":
                yield name, position
        lines = f"\n{self.code}"
        for match in DERIVED.finditer(lines):
            for name in NAME.findall(match[1]):
                yield name, match.start()
        for match in DECORATOR.finditer(lines):
            yield match[1], match.start()


def _imported(parts: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    """Give each name that an import statement brings, and the name it has from then on."""
    of = parts["of"]
    if of is None:
        for part in (parts["modules"] or "").split(","):
            names = part.split()
            if names:
                yield names[0], names[2] if len(names) > 2 else ""
        return
    yield of, ""
    for part in (parts["names"] or "").strip("()\\ \t").split(","):
        names = part.replace("\\", " ").split()
        if names and names[0] != "*":
            yield of + ("" if of.endswith(".") else ".") + names[0], names[-1]


def may_import(text: str) -> dict[str, int]:
    """Return all names that a file imports or that its strings and comments mention as if it did.

    Each with the position after its last mention.
    """
    imports: dict[str, int] = {}
    text = f"\n{text}"
    at = text.find("import")
    while at >= 0:
        begin, end = text.rfind("\n", 0, at), text.find("\n", at)
        quotes = STRING_ENDS.finditer(text, begin, end if end >= 0 else len(text))
        for start in (begin, *(quote.start() for quote in quotes)):
            if match := MAY_IMPORT.match(text, start):
                parts = {
                    name: part and COMMENT.sub("", part) for name, part in match.groupdict().items()
                }
                last = max(match.end("names"), match.end("modules")) - 1
                imports.update((name, last) for name, _ in _imported(parts))
        at = text.find("import", end) if end >= 0 else -1
    return imports


def read(text: str) -> Source:
    """Read the text of a Python file."""
    pieces = TOKEN.split(text)  # at the odd indexes the tokens, between them the rest
    code = pieces.copy()
    counted = depth = 0
    line_start = True  # whether only blanks stand before the token on its line
    for at in range(1, len(pieces), 2):
        token, between = pieces[at], pieces[at - 1]
        if token[0] == "#":
            pieces[at] = code[at] = ""
            continue
        if between[-1:] in PREFIXES and (
            prefix := PREFIX.search(between, max(0, len(between) - 2))
        ):
            between = code[at - 1] = between[: prefix.start()]
        if between and not between[-1].isspace():
            line_start = False
        else:
            _, broken, before = between.rpartition("\n")
            line_start = not before.strip() and (bool(broken) or line_start)
        lines = "\n" * token.count("\n")
        if line_start:
            passed = "".join(code[counted:at])
            depth += sum(map(passed.count, "([{")) - sum(map(passed.count, ")]}"))
            counted = at
            if depth <= 0:  # a docstring
                pieces[at - 1] = between
                pieces[at] = code[at] = lines
                continue
        # A mark that no name has, so that the code around a string is not joined.
        code[at] = f"''{lines}"
        line_start = False
    return Source("".join(pieces), "".join(code), text)


def shortened(text: str, most: int) -> str:
    """Return a text with its lines cut to a number of characters."""
    end = -1  # of the last line that is known to be short enough
    while len(text) - end - 1 > most:
        end = text.rfind("\n", end + 1, end + most + 2)
        if end < 0:
            return "\n".join(line[:most] for line in text.split("\n"))
    return text
