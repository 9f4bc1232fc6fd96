"""One file as it is written: what it may hold, which is seen before it is taken apart."""

import re
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property
from heapq import merge
from itertools import islice

from rung.check.review import functions
from rung.check.review.content import Content
from rung.check.review.lines import lines_containing
from rung.check.review.literals import RequiredLiterals
from rung.check.review.vocabulary import Vocabulary, has_word, may_be_called

MARK = re.compile("[\"'#]")
MOST_MARKS = 12  # of one line: to try all that may be left of it costs more than to read the file


class Written:
    """The bytes of a file. What is said of them may be wrong only in that something is there."""

    def __init__(self, content: Content, path: str) -> None:
        """Look at a file of a repository."""
        self.content = content
        self.path = path
        self.literals: AbstractSet[bytes] | None = None  # of the vocabulary, those that it holds
        self.words: dict[bytes, bool] = {}

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

    def may_import(self, name: Sequence[bytes]) -> bool:
        """Say whether a statement may import a name, by its parts: the first is in its first line."""
        return has_word(self.importing, name[0]) and all(map(self.has_word, name[1:]))

    def may_call(self, name: Sequence[bytes]) -> bool:
        """Say whether a name may be called, by its parts: the last is where a call may be."""
        if not all(map(self.has_word, name)):
            return False
        return not self.path.endswith(".py") or may_be_called(self.raw, name[-1])

    @cached_property
    def importing(self) -> bytes:
        """Its lines that may import something, as they are written."""
        spans = lines_containing(self.raw, b"import")
        return b"\n".join(self.raw[begin:end] for begin, end in spans)

    def has_word(self, word: bytes) -> bool:
        """Say whether it has a word, which is no part of a longer one."""
        if word not in self.words:
            self.words[word] = has_word(self.raw, word)
        return self.words[word]

    def may_match(self, regex: re.Pattern[str], required: RequiredLiterals | None) -> bool:
        """Say whether a line may match an expression; what has no lines of its own as a whole."""
        if not required or not self.path.endswith(".py"):
            return not required or required.met_by(self.lower)
        return any(True for _ in self.candidates(regex, required))

    def held_of(self, required: RequiredLiterals) -> AbstractSet[bytes]:
        """Return those of the best literals that it may hold."""
        best = set(required.best)
        return best if self.literals is None else best & self.literals

    def candidates(self, regex: re.Pattern[str], required: RequiredLiterals) -> Iterator[int]:
        """Give where the lines end that may match when comments and docstrings are gone."""
        most = self.content.files.limits.line
        held = self.held_of(required)
        for begin, end in merge(*(lines_containing(self.lower, each) for each in held)):
            if required.met_by(self.lower[begin:end]):
                line = self.raw[begin : min(end, begin + 4 * most)].decode("utf-8", "replace")
                if _may_match(regex, line[:most].removesuffix("\r")):
                    yield end


def _may_match(regex: re.Pattern[str], line: str) -> bool:
    """Say whether a line of Python may match when comments and docstrings are gone.

    A comment may begin at each `#`, and a docstring end at each quote. Calls are told from
    definitions, as `functions.text` does.
    """
    if regex.search(line):
        return True
    marks = list(islice(MARK.finditer(line), MOST_MARKS + 1))
    if len(marks) > MOST_MARKS:
        return True
    starts = [0, *(mark.end() for mark in marks if mark[0] != "#")]
    ends = [*(mark.start() for mark in marks if mark[0] == "#"), len(line)]
    parts = {line[start:end] for start in starts for end in ends if start < end}
    parts |= {functions.DEFINED.sub(r"\1 (", part) for part in parts if "def" in part}
    return any(map(regex.search, parts - {line}))
