"""Which of many literals a file holds, found in one pass over its bytes, and which words."""

from collections.abc import Collection

from ahocorasick_rs import BytesAhoCorasick, Implementation, MatchKind

LEAST = 3  # bytes: most files hold a shorter literal
IN_WORDS = frozenset(
    bytes([byte]) for byte in range(128) if chr(byte).isalnum() or chr(byte) == "_"
)


class Vocabulary:
    """Literals in lower case."""

    def __init__(self, literals: Collection[bytes]) -> None:
        """Look for these."""
        self.short = {literal for literal in literals if len(literal) < LEAST}
        self.listed = sorted(set(literals) - self.short)
        # The form that takes the most memory, some MB, and the least time.
        self.automaton = BytesAhoCorasick(
            self.listed, matchkind=MatchKind.Standard, implementation=Implementation.DFA
        )

    def held(self, lower: bytes) -> set[bytes]:
        """Return the literals that a text in lower case holds; the short ones without a look."""
        found = self.automaton.find_matches_as_indexes(lower, overlapping=True)
        return {self.listed[number] for number in {match[0] for match in found}} | self.short


def has_word(text: bytes, word: bytes) -> bool:
    """Say whether a text has a word, which is no part of a longer one."""
    at = text.find(word)
    while at >= 0:
        end = at + len(word)
        if text[at - 1 : at] not in IN_WORDS and text[end : end + 1] not in IN_WORDS:
            return True
        at = text.find(word, end)
    return False
