"""The predicates of levels/ that are matched file by file."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from typing import Any, Self

from rung.check.review import data_files, documents, python
from rung.check.review.content import Content
from rung.check.review.data_files import Node
from rung.check.review.prefilter import LEAST, Clause, Prefilter, required
from rung.check.review.python import Source
from rung.check.review.shell import executed

FLAGS = re.IGNORECASE | re.MULTILINE
CODE = ("**/*.py", "**/*.ipynb")
DEFINED = re.compile(rb"def\s+(\w+)")
IN_NAMES = frozenset(bytes([byte]) for byte in b"abcdefghijklmnopqrstuvwxyz0123456789_")
IMPORT = frozenset([b"import"])
MARK = re.compile("[\"'#]")
MAX_MARKS = 12  # per line; with more, trying every remainder takes longer than reading the file
PREFIXED = re.compile(r"\b[rbuRBUfF]{1,2}[\"']")
OFF = re.compile("|false|off|no|none|null|disabled", re.IGNORECASE)  # values that turn a key off
SMALL = 4_000  # bytes: a larger file is assumed to have content
FILLER = re.compile(r"\b(?:pass|TODO|FIXME|from|import|\.\.\.)\b|\W", re.IGNORECASE)


@dataclass(frozen=True)
class Match:
    """A location in a repository that matches a predicate.

    Attributes:
        path: Path from the root; empty where the absence of something is the match.
        line: Line, from 1; 0 for the file as a whole.
        text: The matching line.
        runs: Whether the line may run: False below a false condition, in a skipped test and in a
            function that is named nowhere else (decision 49).
        may_fail: Whether its failure is ignored.
    """

    path: str
    line: int
    text: str
    runs: bool = True
    may_fail: bool = False

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
    """A predicate that is matched file by file.

    Attributes:
        kind: Name of the predicate in levels/, such as `imports`.
        value: The value of that key.
        options: The other keys, such as `in`.
    """

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
        if self.kind == "imports":
            return [frozenset(words[0] for words in self.words)]
        if self.kind == "calls":
            return [frozenset(max(words, key=len) for words in self.words)]
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
    def words(self) -> list[list[bytes]]:
        """The parts of each dotted name, in lower case."""
        names = self.value if self.kind in ("imports", "calls") else ()
        return [name.lower().encode().split(b".") for name in names]

    @cached_property
    def last_parts(self) -> frozenset[str]:
        """The last part of each dotted name."""
        return frozenset(name.rpartition(".")[2] for name in self.value)

    def matches(self, file: "File") -> Iterator[Match]:
        """Yield the matches in a file."""
        return PREDICATES[self.kind](file, self)


class File:
    """A file during a review; each of its forms is computed once, on demand."""

    def __init__(self, content: Content, path: str, prefilter: Prefilter) -> None:
        self.content = content
        self.prefilter = prefilter
        self.path = path
        self.words: dict[bytes, bool] = {}  # cache of has_word
        self.is_python = path.endswith((".py", ".ipynb"))

    @classmethod
    def without(cls, file: "File", numbers: AbstractSet[int]) -> Self:
        """Return a Python file with some of its lines, counted from 1, blanked."""
        content = file.content
        file = cls(content, file.path, file.prefilter)
        lines = enumerate(file.raw.split(b"\n"), 1)
        file.raw = b"\n".join(b"" if number in numbers else line for number, line in lines)
        file.source = Source(content.decoded(file.raw) or "")
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

    def holding(self, clauses: Sequence[Clause]) -> Iterator[tuple[int, int, int]]:
        """Yield number, start and end of each line that satisfies all clauses.

        Args:
            clauses: Clauses; the literals of the first must be in the prefilter.
        """
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
                    yield number, begin, end

    def candidates(self, regex: re.Pattern[str]) -> Iterator[int]:
        """Yield the numbers of the lines in which an expression may match."""
        files = self.content.files
        clauses = required(regex.pattern)
        is_notebook = self.path.endswith(".ipynb")  # whose lines are strings of JSON
        if not clauses or is_notebook:
            last = len(self.searchable) if is_notebook else self.raw.count(b"\n") + 1
            for number in range(1, last + 1):
                if files.clock.stops(files.left_out, self.path):
                    return
                yield number
            return
        for number, begin, end in self.holding(clauses):
            if files.clock.stops(files.left_out, self.path):
                return
            written = self.raw[begin : min(end, begin + 4 * files.limits.line)]
            line = written.decode("utf-8", "replace").removeprefix("\ufeff").removesuffix("\r")
            if not self.is_python or _may_match(regex, line[: files.limits.line]):
                yield number

    def has_word(self, word: bytes) -> bool:
        """Return whether the file may contain a name, in any case, that is no part of a longer one."""
        if len(word) < LEAST:
            return True
        if word not in self.words:
            self.words[word] = any(
                self.lower[start - 1 : start] not in IN_NAMES
                and self.lower[start + len(word) : start + len(word) + 1] not in IN_NAMES
                for start in self.positions.get(word, ())
            )
        return self.words[word]

    def first_import(self, names: Iterable[Sequence[bytes]]) -> int:
        """Return the first line that may import one of some dotted names, given as parts; else 0.

        An import statement has the first part of the name in its first line.
        """
        lines = (
            next(self.holding([frozenset(words[:1]), IMPORT]), (0,))[0]
            for words in names
            if words[0] in self.positions and all(map(self.has_word, words))
        )
        return min(filter(None, lines), default=0)

    def matching(
        self, regex: re.Pattern[str], *, calling: bool = False
    ) -> Iterator[tuple[int, str]]:
        """Yield number and text, without comments, of each matching line.

        Args:
            regex: The expression.
            calling: Whether to tell a call from a definition, in Python.
        """
        for number in self.candidates(regex):
            if self.source:
                source = self.source.until(number)
                lines: Sequence[str] = source.calling if calling else source.lines
            else:
                lines = self.searchable
            if number <= len(lines) and regex.search(lines[number - 1]):
                yield number, lines[number - 1]

    def calling_lines(self, regex: re.Pattern[str]) -> set[int]:
        """Return the numbers of the lines that match, where a call differs from a definition."""
        return {number for number, _ in self.matching(regex, calling=True)}

    def line(self, number: int) -> str:
        """Return a line as written in the file."""
        if self.path.endswith(".ipynb"):
            code = self.searchable
            return code[number - 1].strip() if 0 < number <= len(code) else ""
        lines = self.raw.split(b"\n", number)
        text = lines[number - 1] if 0 < number <= len(lines) else b""
        return text[:400].decode("utf-8", "replace").strip()


def _may_match(regex: re.Pattern[str], line: str) -> bool:
    """Return whether a line of Python may match once comments and docstrings are removed.

    A comment may begin at any `#`, and a docstring may end at any quote. Prefixes of strings are
    removed as well.
    """
    if regex.search(line):
        return True
    marks = [match.start() for match in islice(MARK.finditer(line), MAX_MARKS + 1)]
    if len(marks) > MAX_MARKS or PREFIXED.search(line):
        return True
    starts = [0, *(mark + 1 for mark in marks if line[mark] != "#")]
    ends = [*(mark for mark in marks if line[mark] == "#"), len(line)]
    parts = {line[start:end] for start in starts for end in ends if start < end}
    parts |= {python.DEFINITION.sub(r"\1 (", part) for part in parts if "def" in part}
    return any(map(regex.search, parts - {line}))


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

    first = file.first_import(predicate.words)
    if not first or not file.source:
        return
    for source in (file.source.until(first), file.source):
        for name, line in source.imports.items():
            if of_these(name):
                called = (at for call, at in file.source.calls.items() if of_these(call))
                at = next(called, line)
                yield Match(file.path, at, file.line(at) or name)
                return


def calls(file: File, predicate: FilePredicate) -> Iterator[Match]:
    """Match Python code that calls one of the names, decorates with it or derives from it."""
    if not any(all(map(file.has_word, words)) for words in predicate.words) or not file.source:
        return
    for name, line in file.source.calls.items():
        parts = name.lstrip(".").split(".")
        if parts[-1] in predicate.last_parts and any(
            ".".join(parts[start:]) in predicate.names for start in range(len(parts))
        ):
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
    if not all(any(file.candidates(regex)) for regex in predicate.body):
        return  # before the file is split into code, strings and comments, which takes longer
    # An expression that needs no literal is searched for in every line: only as far as necessary.
    selective = [regex for regex in predicate.body if required(regex.pattern)] or predicate.body
    matched = {regex: file.calling_lines(regex) for regex in selective}
    if not all(matched.values()) or not all(
        any(file.matching(regex, calling=True)) for regex in predicate.body if regex not in matched
    ):
        return
    if file.source is None:
        return
    functions = file.source.functions_around(name, matched.values())
    for candidate in functions.values():
        if not name.search(candidate.name):
            continue
        followed = python.leads_to(candidate, functions)
        lines = frozenset().union(*(function.lines for function in followed))
        if any(map(lines.isdisjoint, matched.values())):
            continue
        matched |= {
            regex: file.calling_lines(regex) for regex in predicate.body if regex not in matched
        }
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
    value = node.value if enabled is None else enabled.value
    return value is not None and OFF.fullmatch(value.strip()) is not None


def _number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return float("-inf")


# A new predicate needs a function above, an entry here and a row in levels/README.md.
PREDICATES: dict[str, Callable[[File, FilePredicate], Iterator[Match]]] = {
    "exists": exists,
    "larger_than_mb": larger_than_mb,
    "imports": imports,
    "calls": calls,
    "text": text,
    "function": function,
    "headings": headings,
    "key": key,
    "keys": keys,
}
