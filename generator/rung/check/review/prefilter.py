"""What a line must hold to match an expression, found for all evidence at once (decision 55).

No line that matches is held back.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from ahocorasick_rs import BytesAhoCorasick, Implementation, MatchKind

TOKEN = re.compile(
    r"(?P<letters>[A-Za-z0-9_-]+)(?![*?]|\{[0,])|\\(?:x..|u.{4}|.)|\[\^?\]?(?:\\.|[^\]\\])*\]"
    r"|(?P<group>\((?:\?(?:P<\w+>|[:>])|(?!\?)))|(?P<other>\(\?)|(?P<end>\))|(?P<or>\|)"
    r"|(?P<optional>(?:[*?]|\{[0,][0-9,]*\}?)[+?]?)|\+[+?]?|\{[0-9]+(?:,[0-9]*)?\}[+?]?|.",
    re.DOTALL,
)
LEAST = 3  # letters of a literal: most files hold a shorter one
Clause = frozenset[bytes]  # literals in lower case, one of which must be there


def telling(clause: Clause) -> int:
    """Return how rarely a text meets a clause, by its shortest literal."""
    return min(map(len, clause), default=0)


@cache  # a fleet is read by the same expressions
def required(regex: str) -> list[Clause]:
    """Return clauses, all of which a line that matches meets, the most telling one first."""
    return sorted(_group(TOKEN.finditer(regex)), key=telling, reverse=True)


def _group(tokens: Iterator[re.Match[str]], before: str = "") -> list[Clause]:
    """Return what a group needs that follows letters; of alternatives the most telling clauses."""
    alternatives: list[list[list[Clause]]] = [[]]  # for each of them, the clauses of each token
    letters = before  # directly before a token
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
        elif token["optional"]:  # what is before may be missing
            alternatives[-1][-1:] = []
        alternatives[-1].append(clauses)
        letters = letters if token["letters"] else before if token["or"] else ""
    needs = [[clause for clauses in listed for clause in clauses] for listed in alternatives]
    if len(needs) > 1:
        best = [max(listed, key=telling) for listed in needs if listed]
        return [frozenset().union(*best)] * (len(best) == len(needs))
    return needs[0]


class Prefilter:
    """The clauses that a file must meet to match each predicate, and other literals."""

    def __init__(self, needs: Sequence[Sequence[Clause]], literals: Iterable[bytes] = ()) -> None:
        self.by_literal: dict[bytes, int] = defaultdict(int)  # a bit for each predicate
        for number, clauses in enumerate(needs):
            for literal in max(clauses, key=telling, default=[b""]):
                self.by_literal[literal] |= 1 << number
        every = {literal for clauses in needs for clause in clauses for literal in clause}
        self.literals = sorted(every.union(word for word in literals if len(word) >= LEAST))
        kinds = MatchKind.Standard, Implementation.DFA
        self.automaton = BytesAhoCorasick(self.literals, *kinds)

    def positions(self, lower: bytes) -> dict[bytes, list[int]]:
        """Return where a text in lower case holds literals."""
        positions: dict[bytes, list[int]] = defaultdict(list)
        for number, start, _ in self.automaton.find_matches_as_indexes(lower, overlapping=True):
            positions[self.literals[number]].append(start)
        return positions
