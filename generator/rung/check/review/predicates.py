"""The predicates of levels/: what each may say, and how those are matched that read single files."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any

from rung.check.review import data_files, documents, python
from rung.check.review.content import Content
from rung.check.review.data_files import Node
from rung.check.review.prefilter import Clause, Prefilter, required
from rung.check.review.python import Source
from rung.check.review.shell import executed

FLAGS = re.IGNORECASE | re.MULTILINE
CODE = ("**/*.py", "**/*.ipynb")
DEFINED = re.compile(rb"def\s+(\w+)")
OFF = re.compile("|false|off|no|none|null|disabled", re.IGNORECASE)  # values that turn a key off
SMALL = 4_000  # bytes: a larger file is assumed to have content
FILLER = re.compile(r"\b(?:pass|TODO|FIXME|from|import|\.\.\.)\b|\W", re.IGNORECASE)


@dataclass(frozen=True)
class Match:
    """A location in a repository that matches a predicate."""

    path: str  # path from the root; empty where the absence of something is the match
    line: int  # line, from 1; 0 for the file as a whole
    text: str  # the matching line
    # Whether the line may run: False below a false condition, in a skipped test and in a function
    # that is named nowhere else (decision 49).
    runs: bool = True
    may_fail: bool = False  # whether its failure is ignored

    @property
    def in_notebook(self) -> bool:
        """Whether the file is a notebook."""
        return self.path.endswith(".ipynb")

    @property
    def only_declared(self) -> bool:
        """Whether the match supports no more than the tier `declared`."""
        return self.in_notebook or not self.runs


@dataclass(frozen=True)
class FilePredicate:
    """A predicate that is matched file by file: its key in levels/, the value, the other keys."""

    kind: str
    value: Any
    options: Mapping[str, Any]

    @cached_property
    def globs(self) -> tuple[str, ...]:
        """Globs of the files that the predicate reads."""
        if self.kind == "exists":
            return tuple(self.value)
        return tuple(self.options.get("in", CODE))

    @cached_property
    def regexes(self) -> list[re.Pattern[str]]:
        """The predicate's regular expressions."""
        values = [self.value] if isinstance(self.value, str) else self.value
        return [re.compile(value, FLAGS) for value in values]

    @cached_property
    def body(self) -> list[re.Pattern[str]]:
        """The regular expressions that a function's body must match."""
        return [re.compile(pattern, FLAGS) for pattern in self.options["body"]]

    @cached_property
    def needs(self) -> list[Clause]:
        """Clauses that a file must satisfy to match."""
        if self.kind in ("imports", "calls"):
            names = (name.lower().encode().split(b".") for name in self.value)
            return [frozenset(max(words, key=len) for words in names)]
        regexes: list[str] = []
        if self.kind == "key":
            regexes = re.split(r"[.*]+", self.value)
        elif self.kind in ("text", "function"):
            regexes = [self.value, *self.options.get("body", [])]
        return [required(regex)[0] for regex in regexes if required(regex)]

    @cached_property
    def names(self) -> frozenset[str]:
        """Dotted names, one of which a file must import or call."""
        return frozenset(self.value)

    @cached_property
    def last_parts(self) -> frozenset[str]:
        """The last part of each dotted name."""
        return frozenset(name.rpartition(".")[2] for name in self.value)

    def matches(self, file: "File") -> Iterator[Match]:
        """Yield the matches in a file."""
        match = PREDICATES[self.kind].match
        return match(file, self) if match else iter(())


class File:
    """A file during a review; each of its forms is computed once, on demand."""

    def __init__(self, content: Content, path: str, prefilter: Prefilter) -> None:
        self.content = content
        self.prefilter = prefilter
        self.path = path
        self.is_python = path.endswith((".py", ".ipynb"))

    def without(self, numbers: AbstractSet[int]) -> "File":
        """Return a Python file with some of its lines, counted from 1, blanked."""
        file = File(self.content, self.path, self.prefilter)
        lines = enumerate(self.raw.split(b"\n"), 1)
        file.raw = b"\n".join(b"" if number in numbers else line for number, line in lines)
        file.source = Source(self.content.decoded(file.raw) or "")
        return file

    @cached_property
    def raw(self) -> bytes:
        """The file's bytes; none if it is too large or cannot be read."""
        limits = self.content.files.limits
        return (
            self.content.files.read(
                self.path, limits.notebook if self.path.endswith(".ipynb") else limits.text
            )
            or b""
        )

    @cached_property
    def lower(self) -> bytes:
        """The file's bytes in lower case."""
        return self.raw.lower()

    @cached_property
    def positions(self) -> Mapping[bytes, Sequence[int]]:
        """The positions of each literal of the prefilter."""
        return self.prefilter.positions(self.lower)

    @cached_property
    def defined(self) -> set[str]:
        """The names of the file's functions."""
        return {name.decode() for name in DEFINED.findall(self.raw)}

    @cached_property
    def source(self) -> Source | None:
        """The Python source; None of other files."""
        return self.content.python(self.path) if self.is_python else None

    @cached_property
    def searchable(self) -> Sequence[str]:
        """The file's lines without comments."""
        if self.is_python:
            return self.source.lines if self.source else [""]
        text = documents.without_comments(self.path, self.content.text(self.path) or "")
        lines = text.split("\n")
        # A line that only prints is no evidence.
        if documents.ending(self.path) in documents.RECIPES:
            return [line if executed(line.strip()) else "" for line in lines]
        return lines

    @cached_property
    def nodes(self) -> list[Node]:
        """The documents of a data file."""
        return list(self.content.data(self.path))

    @cached_property
    def sections(self) -> list[tuple[str, int, str]]:
        """The headings, with their lines and the text below them."""
        text = self.content.document(self.path)
        return documents.sections(text) if text else []

    @cached_property
    def has_content(self) -> bool:
        """Whether the file contains more than comments and placeholders."""
        if self.path.endswith(".md") and self.content.is_untouched(self.path):
            return False
        size = self.content.files.size(self.path)
        if size == 0 or size > SMALL:
            return size > 0
        if b"\0" in self.raw:
            return True
        if self.path.endswith((".md", ".rst", ".txt")):
            return documents.has_content("\n".join(self.searchable))
        text = documents.PLACEHOLDER.sub("", "\n".join(self.searchable))
        return bool(FILLER.sub("", text))

    def candidates(self, regex: re.Pattern[str]) -> Iterable[int]:
        """Yield the numbers of the lines that have the literals that an expression needs."""
        clauses = required(regex.pattern)
        if not clauses or self.path.endswith(".ipynb"):  # whose lines are strings of JSON
            yield from range(1, len(self.searchable) + 1)
            return
        number, begin, end = 1, 0, -1
        positions = (self.positions.get(literal, ()) for literal in clauses[0])
        for position in sorted(chain.from_iterable(positions)):
            if position > end:
                number += self.lower.count(b"\n", begin, position)
                begin = self.lower.rfind(b"\n", 0, position) + 1
                end = self.lower.find(b"\n", position)
                end = len(self.lower) if end < 0 else end
                line = self.lower[begin:end]
                if all(any(literal in line for literal in clause) for clause in clauses[1:]):
                    yield number

    def matching(
        self, regex: re.Pattern[str], *, calling: bool = False
    ) -> Iterator[tuple[int, str]]:
        """Yield number and text, without comments, of each matching line.

        If calling, a call in Python differs from a definition.
        """
        for number in self.candidates(regex):
            if self.content.files.stops(self.path):
                return
            lines = self.source.calling if calling and self.source else self.searchable
            if number <= len(lines) and regex.search(lines[number - 1]):
                yield number, lines[number - 1]

    def line(self, number: int) -> str:
        """Return a line as written in the file."""
        if self.path.endswith(".ipynb"):
            code = self.searchable
            return code[number - 1].strip() if 0 < number <= len(code) else ""
        lines = self.raw.split(b"\n", number)
        text = lines[number - 1] if 0 < number <= len(lines) else b""
        return text[:400].decode("utf-8", "replace").strip()


def exists(file: File, predicate: FilePredicate) -> Iterator[Match]:
    """Match a file with such a path that has content; a picture of it is none."""
    if file.has_content and not file.path.lower().endswith(documents.PICTURES):
        yield Match(file.path, 0, file.path)


def larger_than_mb(file: File, predicate: FilePredicate) -> Iterator[Match]:
    """Match a file with such a path that is larger than this."""
    size = file.content.files.size(file.path)
    if size > predicate.value * 1_000_000:
        yield Match(file.path, 0, f"{size / 1_000_000:,.1f} MB")


def imports(file: File, predicate: FilePredicate) -> Iterator[Match]:
    """Match Python code that imports one of the modules, where it first calls what it imports."""

    def of_these(name: str) -> bool:
        parts = name.split(".")
        return any(".".join(parts[:end]) in predicate.names for end in range(1, len(parts) + 1))

    for name, line in file.source.imports.items() if file.source else ():
        if file.source and of_these(name):
            called = (at for call, at in file.source.calls.items() if of_these(call))
            at = next(called, line)
            yield Match(file.path, at, file.line(at) or name)
            return


def calls(file: File, predicate: FilePredicate) -> Iterator[Match]:
    """Match Python code that calls one of the names, decorates with it or derives from it."""
    if not file.source or file.source.called.isdisjoint(predicate.last_parts):
        return
    for name, line in file.source.calls.items():
        parts = name.lstrip(".").split(".")
        if any(".".join(parts[start:]) in predicate.names for start in range(len(parts))):
            yield Match(file.path, line, file.line(line) or name)
            return


def text(file: File, predicate: FilePredicate) -> Iterator[Match]:
    """Match a line by a regular expression."""
    (regex,) = predicate.regexes
    for number, line in file.matching(regex):
        yield Match(file.path, number, file.line(number) or line.strip())
        return


def function(file: File, predicate: FilePredicate) -> Iterator[Match]:
    """Match a function by its name, and by its body with what it calls in the same file."""
    (name,) = predicate.regexes
    if predicate.value and not any(map(name.search, file.defined)):
        return
    matched: dict[re.Pattern[str], set[int]] = {}
    # An expression that needs no literal is searched for in every line: only if all others match.
    for regex in sorted(predicate.body, key=lambda regex: not required(regex.pattern)):
        matched[regex] = {number for number, _ in file.matching(regex, calling=True)}
        if not matched[regex]:
            return
    if file.source is None:
        return
    functions = file.source.functions
    for candidate in functions.values():
        if not name.search(candidate.name):
            continue
        followed = python.leads_to(candidate, functions)
        lines = frozenset().union(*(function.lines for function in followed))
        if not any(map(lines.isdisjoint, matched.values())):
            first = matched[predicate.body[0]] & lines
            line = min(candidate.lines if candidate.name else first)
            yield Match(file.path, line, file.line(line) or candidate.name)
            return


def headings(file: File, predicate: FilePredicate) -> Iterator[Match]:
    """Match a document that has text below a heading for each of the expressions."""
    matches = []
    for regex in predicate.regexes:
        for title, line, below in file.sections:
            if regex.search(title[:300]) and documents.has_content(below):
                matches.append(Match(file.path, line, title))
                break
        else:
            return
    yield from matches


def key(file: File, predicate: FilePredicate) -> Iterator[Match]:
    """Match a data file that has a key, with such a value if the predicate states one."""
    pattern = predicate.options.get("matches")
    least = predicate.options.get("at_least")
    for document in file.nodes:
        for node in data_files.search(document, predicate.value):
            values = node.texts()
            if pattern and not any(re.search(pattern, value, FLAGS) for value in values):
                continue
            if least and not any(_number(value) >= least for value in values):
                continue
            if not pattern and not least and _is_off(node):
                continue
            line = file.line(node.line) if node.line else predicate.value
            yield Match(file.path, node.line, line)
            return


def keys(file: File, predicate: FilePredicate) -> Iterator[Match]:
    """Match a data file that has all the keys, or `at_least` some, with values."""
    least = predicate.options.get("at_least", len(predicate.value))
    names = {name.lower() for name in predicate.value}
    lines: dict[str, int] = {}  # by key that is present
    for document in file.nodes:
        for name, node in data_files.walk(document):
            normalised = re.sub(r"[\s-]+", "_", name or "").lower()
            has_value = node.entries or (node.value and not documents.is_placeholder(node.value))
            if normalised in names and has_value:
                lines.setdefault(normalised, node.line)
    if len(lines) >= least:
        line = min(filter(None, lines.values()), default=0)
        yield Match(file.path, line, ", ".join(sorted(lines)))


def _is_off(node: Node) -> bool:
    enabled = node.get("enabled")
    value = enabled.value if enabled else node.value
    return value is not None and OFF.fullmatch(value.strip()) is not None


def _number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return float("-inf")


def _texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(text, str) for text in value)


def _is_regex(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(re.compile(value, FLAGS))
    except re.error:
        return False


def _regexes(value: Any) -> bool:
    return _texts(value) and all(map(_is_regex, value))


def _positive(value: Any) -> bool:
    return isinstance(value, int) and value > 0


Check = Callable[[Any], bool]
IN: Mapping[str, Check] = {"in": _texts}


@dataclass(frozen=True)
class Described:
    """What a predicate of levels/ may say, and how it is matched."""

    value: Check  # whether a value may be the predicate's
    # The keys that it needs beside it, each with what its value may be.
    needed: Mapping[str, Check] = field(default_factory=dict)
    # The keys that it may have beside it.
    allowed: Mapping[str, Check] = field(default_factory=dict)
    # Yields its matches in a file; None if evidence.py reads no single file for it.
    match: Callable[[File, FilePredicate], Iterator[Match]] | None = None


# A new predicate needs an entry here, the function that it names and a row in levels/README.md.
PREDICATES = {
    "exists": Described(_texts, match=exists),
    "larger_than_mb": Described(_positive, IN, match=larger_than_mb),
    "depends": Described(_texts),
    "imports": Described(_texts, allowed=IN, match=imports),
    "calls": Described(_texts, allowed=IN, match=calls),
    "text": Described(_is_regex, IN, match=text),
    "function": Described(
        lambda value: value == "" or _is_regex(value), {"body": _regexes, **IN}, match=function
    ),
    "headings": Described(_regexes, IN, match=headings),
    "key": Described(
        lambda value: isinstance(value, str) and bool(value),
        IN,
        {"matches": _is_regex, "at_least": _positive},
        match=key,
    ),
    "keys": Described(_texts, IN, {"at_least": _positive}, match=keys),
    "runs": Described(_is_regex),
    "ci_runs": Described(
        _is_regex, allowed={"ci_says": _is_regex, "by_hand": lambda value: value is True}
    ),
    "ci_says": Described(_is_regex, allowed={"ci_runs": _is_regex}),
}
