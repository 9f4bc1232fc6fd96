"""What a line must hold for an expression to match it, found for all evidence in one pass (decision 55).

No line that matches is held back.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain

from ahocorasick_rs import BytesAhoCorasick, Implementation, MatchKind

TOKEN = re.compile(
    r"(?P<literal>[A-Za-z0-9_-]+)(?![*?]|\{[0,])|\\(?:x..|u.{4}|.)|\[\^?\]?(?:\\.|[^\]\\])*\]"
    r"|(?P<group>\((?:\?(?:P<\w+>|[:>])|(?!\?)))|(?P<other>\(\?)|(?P<end>\))|(?P<or>\|)"
    r"|(?P<optional>(?:[*?]|\{[0,][0-9,]*\}?)[+?]?)|\+[+?]?|\{[0-9]+(?:,[0-9]*)?\}[+?]?|.",
    re.DOTALL,
)
Clause = frozenset[bytes]  # literals in lower case, one of which must be there


def telling(clause: Clause) -> int:
    """Return how rare a text is that meets a clause, by its shortest literal; 0 if any does."""
    return min(map(len, clause), default=0)


@cache  # a fleet is read by the same expressions
def required(regex: str) -> tuple[Clause, ...]:
    """Return clauses, all of which a line must meet to match an expression; the most telling first."""
    return tuple(sorted(_group(TOKEN.finditer(regex)), key=telling, reverse=True))


def may_match(regex: str, lower: bytes) -> bool:
    """Return whether a text in lower case meets all that an expression requires."""
    return all(any(literal in lower for literal in clause) for clause in required(regex))


def _group(tokens: Iterator[re.Match[str]]) -> list[Clause]:
    """Return what a group needs: its clauses, or of several alternatives the most telling ones."""
    alternatives: list[list[list[Clause]]] = [[]]  # by alternative and token
    for token in tokens:
        if token["end"]:
            break
        if token["or"]:
            alternatives.append([])
        elif token["optional"]:  # what is before may be missing
            alternatives[-1][-1:] = []
        elif token["literal"]:
            alternatives[-1].append([frozenset([token["literal"].lower().encode()])])
        else:
            inner = _group(tokens) if token["group"] or token["other"] else []
            alternatives[-1].append(inner if token["group"] else [])
    clauses = [[clause for part in parts for clause in part] for parts in alternatives]
    if len(clauses) == 1 or not all(clauses):
        return clauses[0] if len(clauses) == 1 else []
    return [frozenset().union(*(max(listed, key=telling) for listed in clauses))]


class Prefilter:
    """Finds the predicates that a file may match.

    Args:
        needs: Clauses that a file must meet to match, for each predicate.
        literals: Others that are to be found.
    """

    def __init__(self, needs: Sequence[Sequence[Clause]], literals: Iterable[bytes] = ()) -> None:
        self.needs = needs
        self.masks: dict[bytes, int] = defaultdict(int)  # by literal, a bit for each predicate
        self.always = 0  # those that need nothing
        for number, clauses in enumerate(needs):
            for literal in (best := max(clauses, key=telling, default=frozenset())):
                self.masks[literal] |= 1 << number
            self.always |= (not best) << number
        clauses = (clause for listed in needs for clause in listed)
        self.literals = sorted({*literals, *chain.from_iterable(clauses)})
        self.automaton = BytesAhoCorasick(
            self.literals, matchkind=MatchKind.Standard, implementation=Implementation.DFA
        )

    def positions(self, lower: bytes) -> dict[bytes, list[int]]:
        """Return where a text in lower case holds each literal that it has."""
        positions: dict[bytes, list[int]] = defaultdict(list)
        for number, start, _ in self.automaton.find_matches_as_indexes(lower, overlapping=True):
            positions[self.literals[number]].append(start)
        return positions

    def possible(self, bits: int, held: Mapping[bytes, object]) -> Iterator[int]:
        """Give which of some predicates, a bit for each, a file may match that holds literals."""
        mask = self.always
        for literal in held:
            mask |= self.masks.get(literal, 0)
        bits &= mask
        while bits:
            number = (bits & -bits).bit_length() - 1
            bits &= bits - 1
            if not any(map(held.keys().isdisjoint, self.needs[number])):
                yield number
