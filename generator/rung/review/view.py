"""One file during a review: each of its forms is computed once, on demand."""

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property
from typing import Self

from rung.review import disabled, documents, functions, python_source
from rung.review.content import Content
from rung.review.data_files import Node
from rung.review.functions import Function
from rung.review.lines import Lines, lines_containing
from rung.review.literals import RequiredLiterals
from rung.review.python_source import Source
from rung.review.shell import executed
from rung.review.vocabulary import Vocabulary, has_word

DEFINED = re.compile(rb"def\s+(\w+)")
SMALL = 4_000  # bytes: a larger file says something
FILLER = re.compile(r"\b(?:pass|TODO|FIXME|from|import|\.\.\.)\b|\W", re.IGNORECASE)


class View:
    """A file, as the predicates look at it."""

    def __init__(self, content: Content, path: str) -> None:
        """Look at a file of a repository."""
        self.content = content
        self.path = path
        self.is_python = path.endswith((".py", ".ipynb"))
        self.literals: AbstractSet[bytes] | None = None  # of the vocabulary, those that it holds
        self.words: dict[bytes, bool] = {}
        self.spans: dict[bytes, list[tuple[int, int]]] = {}

    @classmethod
    def without(cls, content: Content, path: str, numbers: AbstractSet[int]) -> Self:
        """Return a file of Python as if some of its lines, counted from 1, were blank."""
        view = cls(content, path)
        written = enumerate(view.raw.split(b"\n"), 1)
        view.raw = b"\n".join(b"" if number in numbers else line for number, line in written)
        text = python_source.shortened(
            view.raw.decode("utf-8", "replace"), content.files.limits.line
        )
        view.source = python_source.read(text.replace("\r\n", "\n").removeprefix("\ufeff"))
        return view

    @cached_property
    def raw(self) -> bytes:
        """Its bytes; none if it is too large or not to be read."""
        limits = self.content.files.limits
        most = limits.notebook if self.path.endswith(".ipynb") else limits.text
        return self.content.files.read(self.path, most) or b""

    @cached_property
    def lower(self) -> bytes:
        """Its bytes in lower case, to look for literals in."""
        return self.raw.lower()

    def held(self, vocabulary: Vocabulary) -> AbstractSet[bytes]:
        """Return the literals of a vocabulary that it holds, in upper or lower case."""
        if self.literals is None:
            self.literals = vocabulary.held(self.lower)
        return self.literals

    def has_word(self, word: bytes) -> bool:
        """Say whether it has a word, which is no part of a longer one."""
        if word not in self.words:
            self.words[word] = has_word(self.raw, word)
        return self.words[word]

    def may_match(self, required: RequiredLiterals) -> bool:
        """Say whether a line has what an expression needs; what has no lines of its own may."""
        if not self.path.endswith(".py"):
            return True
        spans = (span for literal in required.best for span in self._lines_with(literal))
        return any(required.met_by(self.lower[begin:end]) for begin, end in spans)

    def _lines_with(self, literal: bytes) -> list[tuple[int, int]]:
        """Return where each line that holds a literal begins and ends in its bytes."""
        if self.literals is not None and literal not in self.literals:
            return []
        if literal not in self.spans:
            self.spans[literal] = list(lines_containing(self.lower, literal))
        return self.spans[literal]

    @cached_property
    def source(self) -> Source | None:
        """Its Python source."""
        return self.content.python(self.path) if self.is_python else None

    @cached_property
    def defined(self) -> set[str]:
        """Names that may be those of its functions."""
        return {name.decode() for name in DEFINED.findall(self.raw)}

    @cached_property
    def functions(self) -> dict[str, Function]:
        """Its functions by name, where it is Python."""
        return functions.read(self.source) if self.source else {}

    @cached_property
    def lines(self) -> list[str]:
        """Its text, line by line, without comments."""
        if self.is_python:
            return self.source.text.split("\n") if self.source else []
        text = self.content.text(self.path)
        lines = documents.without_comments(self.path, text).split("\n") if text else []
        if documents.ending(self.path) in documents.RECIPES:  # what is only printed says nothing
            lines = [line if not line.strip() or executed(line.strip()) else "" for line in lines]
        return lines

    @cached_property
    def searchable(self) -> Lines:
        """Its lines, to search."""
        return Lines(self.lines)

    def searchable_for(self, regex: re.Pattern[str], literals: Sequence[bytes]) -> Lines:
        """Return its lines, to search for the first match of an expression that needs one of these.

        Of Python that was not taken apart yet, what follows a line that matches as it is written is
        left out: whether it is code does not depend on what comes later.
        """
        if not self.path.endswith(".py") or not literals or "source" in self.__dict__:
            return self.searchable
        for begin, end in sorted(
            span for literal in literals for span in self._lines_with(literal)
        ):
            if 2 * end > len(self.raw):
                break
            most = self.content.files.limits.line
            line = self.raw[begin : min(end, begin + 4 * most)].decode("utf-8", "replace")
            if regex.search(line[:most]):
                number = self.raw.count(b"\n", 0, end) + 1
                text = self.content.text(self.path) or ""
                source = python_source.read("\n".join(text.split("\n", number)[:number]))
                lines = Lines(source.text.split("\n"))
                return lines if any(map(regex.search, lines.lines)) else self.searchable
        return self.searchable

    @cached_property
    def calling_lines(self) -> Lines:
        """The same of Python, in which calls differ from definitions."""
        return Lines(functions.text(self.source).split("\n") if self.source else [])

    @cached_property
    def nodes(self) -> list[Node]:
        """Its documents, where it is a data file."""
        nodes = list(self.content.data(self.path))
        return disabled.without_idle_stages(nodes) if self.path.endswith("dvc.yaml") else nodes

    @cached_property
    def sections(self) -> list[tuple[str, int, str]]:
        """Its headings with the text below each."""
        text = self.content.document(self.path)
        return documents.sections(text) if text else []

    @cached_property
    def has_content(self) -> bool:
        """Say whether more is in it than nothing, comments and placeholders."""
        if self.path.endswith(".md") and self.content.is_untouched(self.path):
            return False
        size = self.content.files.size(self.path)
        if size == 0 or size > SMALL:
            return size > 0
        if b"\0" in self.raw:
            return True
        if self.path.endswith((".md", ".rst", ".txt")):
            return documents.has_content("\n".join(self.lines))
        text = documents.PLACEHOLDER.sub("", "\n".join(self.lines))
        return bool(FILLER.sub("", text))

    def line(self, number: int) -> str:
        """Return a line as it is in the file."""
        if self.path.endswith(".ipynb"):
            return self.lines[number - 1].strip() if 0 < number <= len(self.lines) else ""
        lines = self.raw.split(b"\n", number)
        text = lines[number - 1] if 0 < number <= len(lines) else b""
        return text[:400].decode("utf-8", "replace").strip()
