"""A prefilter: the literals that a line must contain to match a regular expression (decision 55).

It may let through a line that does not match; it never holds back a line that does.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache

from ahocorasick_rs import BytesAhoCorasick, Implementation, MatchKind

TOKEN = re.compile(
    r"(?P<letters>[A-Za-z0-9_-]+)(?![*?]|\{[0,])|\\(?:x..|u.{4}|.)|\[\^?\]?(?:\\.|[^\]\\])*\]"
    r"|(?P<group>\((?:\?(?:P<\w+>|[:>])|(?!\?)))|(?P<other>\(\?)|(?P<end>\))|(?P<or>\|)"
    r"|(?P<optional>(?:[*?]|\{[0,][0-9,]*\}?)[+?]?)|\+[+?]?|\{[0-9]+(?:,[0-9]*)?\}[+?]?|.",
    re.DOTALL,
)
LEAST = 3  # letters of a literal: most files contain any shorter one
Clause = frozenset[bytes]  # literals in lower case, of which a line must contain at least one


def selectivity(clause: Clause) -> int:
    """Return how selective a clause is: the length of its shortest literal."""
    return min(map(len, clause), default=0)


@cache  # every repository of a fleet is matched with the same expressions
def required(regex: str) -> list[Clause]:
    """Return clauses that every matching line satisfies, the most selective one first."""
    return sorted(_group(TOKEN.finditer(regex)), key=selectivity, reverse=True)


def _group(tokens: Iterator[re.Match[str]], before: str = "") -> list[Clause]:
    """Return the clauses of a group up to its end; a literal in it continues the letters before it."""
    alternatives: list[list[list[Clause]]] = [[]]  # by alternative and token
    letters = before  # directly before the token
    for token in tokens:
        clauses: list[Clause] = []
        if token["letters"]:
            letters += token["letters"].lower()
            clauses = [frozenset([letters.encode()])] * (len(letters) >= LEAST)
        elif token["group"]:
            clauses = _group(tokens, letters)
        elif token["other"]:
            _group(tokens)
        if token["end"]:
            break
        if token["or"]:
            alternatives.append([])
        elif token["optional"]:  # the token before may be missing
            alternatives[-1][-1:] = []
        alternatives[-1].append(clauses)
        letters = letters if token["letters"] else before if token["or"] else ""
    needs = [[clause for clauses in listed for clause in clauses] for listed in alternatives]
    if len(needs) > 1:
        best = [max(listed, key=selectivity) for listed in needs if listed]
        return [frozenset().union(*best)] * (len(best) == len(needs))
    return needs[0]


class Prefilter:
    """A search for the literals of the clauses of many predicates at once."""

    def __init__(self, needs: Sequence[Sequence[Clause]]) -> None:
        self.by_literal: dict[bytes, int] = defaultdict(int)  # a bit set for each predicate
        for number, clauses in enumerate(needs):
            for literal in max(clauses, key=selectivity, default=[b""]):
                self.by_literal[literal] |= 1 << number
        self.literals = sorted({word for clauses in needs for clause in clauses for word in clause})
        kinds = MatchKind.Standard, Implementation.DFA
        self.automaton = BytesAhoCorasick(self.literals, *kinds)

    def positions(self, lower: bytes) -> dict[bytes, list[int]]:
        """Return the positions of each literal in a lower-case text."""
        positions: dict[bytes, list[int]] = defaultdict(list)
        for number, start, _ in self.automaton.find_matches_as_indexes(lower, overlapping=True):
            positions[self.literals[number]].append(start)
        return positions
