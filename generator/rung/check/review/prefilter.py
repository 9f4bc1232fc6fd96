"""Which predicates a file may match, by its words. None that matches may be held back."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

TOKEN = re.compile(
    r"(?P<letters>[A-Za-z]+)(?![*?]|\{[0,])|\\(?:x..|u.{4}|.)|\[\^?\]?(?:\\.|[^\]\\])*\]"
    r"|(?P<group>\((?:\?(?:P<\w+>|[:>])|(?!\?)))|(?P<other>\(\?)|(?P<end>\))|(?P<or>\|)"
    r"|(?P<optional>[*?]|\{[0,])|.",
    re.DOTALL,
)
# Names stay, in lower case; every other byte becomes a blank.
KEPT = {*b"abcdefghijklmnopqrstuvwxyz0123456789_"}
NAMES = bytes(low if (low := byte | 32 * (64 < byte < 91)) in KEPT else 32 for byte in range(256))

MAX_WORDS = 300_000  # that are remembered
Parts = frozenset[str]  # letters, one of which must be there; empty where that is unknown


@cache  # a fleet is read by the same expressions
def required(regex: str) -> Parts:
    """Return letters of which a text in lower case must hold one for an expression to match it."""
    return _group(TOKEN.finditer(regex))


def _group(tokens: Iterator[re.Match[str]]) -> Parts:
    """Return what a group needs: the most telling part of each alternative, if all have one."""
    alternatives: list[list[Parts]] = [[]]
    for token in tokens:
        parts = alternatives[-1]
        if token["end"]:
            break
        if token["or"]:
            alternatives.append([])
        elif token["optional"]:  # what is before may be missing
            parts[-1:] = []
        elif token["letters"]:
            parts.append(frozenset([token["letters"].lower()]))
        else:
            inner = _group(tokens) if token["group"] or token["other"] else frozenset()
            parts.append(inner if token["group"] else frozenset())
    best = [
        max(parts, key=lambda each: min(map(len, each), default=0), default=frozenset())
        for parts in alternatives
    ]
    return frozenset().union(*best) if all(best) else frozenset()


class Prefilter:
    """What each of some predicates needs: parts of words, or all words of a dotted name."""

    def __init__(self, needs: Sequence[Iterable[Parts]], names: Sequence[Iterable[str]]) -> None:
        groups = [list(filter(None, listed)) for listed in needs]
        self.needs = [(at, listed) for at, listed in enumerate(groups) if not names[at]]
        self.parts = {part for _, listed in self.needs for parts in listed for part in parts}
        self.read: set[str] = set()  # words of files before, and the parts of those that have any
        self.by_word: dict[str, set[str]] = defaultdict(set)
        self.names: dict[str, list[tuple[frozenset[str], int]]] = defaultdict(list)
        for at, name in ((at, name) for at, listed in enumerate(names) for name in listed):
            words = frozenset(re.findall(r"\w+", name.lower()))
            self.names[max(words, key=len)].append((words, at))

    def possible(self, content: bytes) -> list[int]:
        """Return the numbers of the predicates that a file may match."""
        if len(self.read) > MAX_WORDS:
            self.read, self.by_word = set(), defaultdict(set)
        words = set(content.translate(NAMES).decode().split())
        text = " ".join(new := words - self.read)
        self.read |= new
        for part in [part for part in self.parts if part in text]:
            for word in new:
                if part in word:
                    self.by_word[word].add(part)
        held = set().union(*(self.by_word[word] for word in self.by_word.keys() & words))
        possible = {at for at, groups in self.needs if not any(map(held.isdisjoint, groups))}
        for word in self.names.keys() & words:
            possible.update(at for parts, at in self.names[word] if words >= parts)
        return sorted(possible)
