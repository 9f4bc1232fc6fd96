"""Which of many literals a file holds, found in one pass over its bytes, and which words."""

import re
from collections.abc import Collection, Iterator

from ahocorasick_rs import BytesAhoCorasick, Implementation, MatchKind

LEAST = 3  # bytes: most files hold a shorter literal
# So many files hold these, too, that to find each mention costs more than to look closer.
COMMON = frozenset(
    b"all assert back check error for from get has import init input log max min new output path "
    b"resource return serv set state type version".split()
)
IN_WORDS = frozenset(
    bytes([byte]) for byte in range(128) if chr(byte).isalnum() or chr(byte) == "_"
)
# A class whose bases begin, or go on, in the lines below.
BASES_BELOW = re.compile(rb"class[ \t]+\w+[ \t]*\([^)\n#]*(?:#[^\n]*)?$", re.MULTILINE)


class Vocabulary:
    """Literals in lower case."""

    def __init__(self, literals: Collection[bytes]) -> None:
        """Look for these."""
        short = {literal for literal in literals if len(literal) < LEAST}
        self.common = short | (COMMON & set(literals))
        self.listed = sorted(set(literals) - self.common)
        # The form that takes the most memory, some MB, and the least time.
        self.automaton = BytesAhoCorasick(
            self.listed, matchkind=MatchKind.Standard, implementation=Implementation.DFA
        )

    def held(self, lower: bytes) -> set[bytes]:
        """Return the literals that a text in lower case holds; the common ones without a look."""
        found = self.automaton.find_matches_as_indexes(lower, overlapping=True)
        return {self.listed[number] for number in {match[0] for match in found}} | self.common


def has_word(text: bytes, word: bytes) -> bool:
    """Say whether a text has a word, which is no part of a longer one."""
    return any(True for _ in mentions(text, word))


def may_be_called(text: bytes, word: bytes) -> bool:
    """Say whether Python may call a word, import it by another name, decorate with it or derive."""
    for begin, end in mentions(text, word):
        if text[end : end + 80].lstrip(b" \t")[:1] in (b"(", b""):
            return True
        line = text[text.rfind(b"\n", 0, begin) + 1 : text.find(b"\n", end)]
        if any(mark in line for mark in (b"import", b"as", b"@", b"class")):
            return True
    return BASES_BELOW.search(text) is not None


def mentions(text: bytes, word: bytes) -> Iterator[tuple[int, int]]:
    """Give where a word begins and ends that is no part of a longer one."""
    end = 0
    while (at := text.find(word, end)) >= 0:
        end = at + len(word)
        if text[at - 1 : at] not in IN_WORDS and text[end : end + 1] not in IN_WORDS:
            yield at, end
