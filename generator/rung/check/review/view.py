"""One file during a review: each of its forms is computed once, on demand."""

import re
from collections.abc import Set as AbstractSet
from functools import cached_property
from typing import Self

from rung.check.review import disabled, documents, functions, python_source
from rung.check.review.content import Content
from rung.check.review.data_files import Node
from rung.check.review.functions import Function
from rung.check.review.lines import Lines
from rung.check.review.literals import RequiredLiterals
from rung.check.review.python_source import Source
from rung.check.review.shell import executed
from rung.check.review.written import Written

DEFINED = re.compile(rb"def\s+(\w+)")
SMALL = 4_000  # bytes: a larger file says something
FILLER = re.compile(r"\b(?:pass|TODO|FIXME|from|import|\.\.\.)\b|\W", re.IGNORECASE)


class View(Written):
    """A file, as the predicates look at it."""

    def __init__(self, content: Content, path: str) -> None:
        """Look at a file of a repository."""
        super().__init__(content, path)
        self.is_python = path.endswith((".py", ".ipynb"))

    @classmethod
    def without(cls, content: Content, path: str, numbers: AbstractSet[int]) -> Self:
        """Return a file of Python as if some of its lines, counted from 1, were blank."""
        view = cls(content, path)
        written = enumerate(view.raw.split(b"\n"), 1)
        view.raw = b"\n".join(b"" if number in numbers else line for number, line in written)
        view.source = python_source.read(content.decoded(view.raw) or "")
        return view

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
    def searchable(self) -> Lines:
        """Its lines, without comments."""
        if self.is_python:
            return Lines(self.source.text if self.source else "")
        text = documents.without_comments(self.path, self.content.text(self.path) or "")
        if documents.ending(self.path) in documents.RECIPES:  # what is only printed says nothing
            lines = text.split("\n")
            text = "\n".join(line if executed(line.strip()) else "" for line in lines)
        return Lines(text)

    def searchable_for(self, regex: re.Pattern[str], required: RequiredLiterals | None) -> Lines:
        """Return its lines, to search for the first match of an expression that needs these.

        Of Python that was not taken apart yet, what follows a line that matches as it is written is
        left out: whether it is code does not depend on what comes later.
        """
        if not required:
            return self.searchable
        if not self.path.endswith(".py"):
            return self.searchable if required.met_by(self.lower) else Lines("")
        end = next(self.candidates(regex, required), None)
        if end is None:
            return Lines("")
        if 2 * end < len(self.raw) and "source" not in self.__dict__:
            lines = Lines(python_source.read(self.content.decoded(self.raw[: end + 1]) or "").text)
            if any(map(regex.search, lines.lines)):
                return lines
        return self.searchable

    @cached_property
    def calling_lines(self) -> Lines:
        """The same of Python, in which calls differ from definitions."""
        return Lines(functions.text(self.source) if self.source else "")

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
            return documents.has_content(self.searchable.text)
        text = documents.PLACEHOLDER.sub("", self.searchable.text)
        return bool(FILLER.sub("", text))

    def line(self, number: int) -> str:
        """Return a line as it is in the file."""
        if self.path.endswith(".ipynb"):
            code = self.searchable.lines
            return code[number - 1].strip() if 0 < number <= len(code) else ""
        lines = self.raw.split(b"\n", number)
        text = lines[number - 1] if 0 < number <= len(lines) else b""
        return text[:400].decode("utf-8", "replace").strip()
