"""Which literals a file may hold, by its tokens: a token that was met before is not searched again."""

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable
from itertools import accumulate, groupby

TOKEN = bytes(byte if chr(byte).isalnum() or byte == 95 else 32 for byte in range(128)) + b" " * 128
MOST = 200_000  # tokens that are remembered


def tokens(raw: bytes) -> set[bytes]:
    """Return the tokens of a file, each once."""
    return set(raw.translate(TOKEN).split())


class Vocabulary:
    """Lower-case literals, and the tokens that hold them."""

    def __init__(self, literals: Iterable[bytes]) -> None:
        """Look for these literals, each by its longest token."""
        by_token: dict[bytes, set[bytes]] = defaultdict(set)
        self.unsure: set[bytes] = set()  # no token of theirs is long enough to be looked for
        for literal in literals:
            longest = max(tokens(literal), key=len, default=b"")
            if len(longest) < 3:
                self.unsure.add(literal)
            else:
                by_token[longest].add(literal)
        # The longest token is found where several begin, so it stands for those it begins with.
        self.found_with = {
            token: set().union(*(by_token[other] for other in by_token if token.startswith(other)))
            for token in by_token
        }
        self.regex = re.compile(b"(?=(" + (_one_of(sorted(by_token)) or b"(?!)") + b"))")
        self.met: set[bytes] = set()
        self.literals_in: dict[bytes, set[bytes]] = defaultdict(set)  # a token, and what it holds

    def candidates(self, present: set[bytes]) -> set[bytes]:
        """Return the literals that a file of these tokens may hold: none is missing."""
        if new := present - self.met:
            self._meet(new)
        held = set(self.unsure)
        held.update(*(self.literals_in[token] for token in self.literals_in.keys() & present))
        return held

    def _meet(self, new: set[bytes]) -> None:
        if len(self.met) > MOST:
            self.met.clear()
            self.literals_in.clear()
        self.met |= new
        listed = list(new)
        text = b" ".join(listed).lower()
        starts = list(accumulate((len(each) + 1 for each in listed), initial=0))
        for match in self.regex.finditer(text):
            token = listed[bisect_right(starts, match.start()) - 1]
            self.literals_in[token] |= self.found_with[match[1]]


def _one_of(words: Collection[bytes]) -> bytes:
    """Return an expression for the longest of some sorted words; what they share is tried once."""
    parts = [
        re.escape(first) + _one_of([word[1:] for word in same])
        for first, same in groupby(filter(None, words), key=lambda word: word[:1])
    ]
    return b"(?:" + b"|".join(parts) + b")" + b"?" * (b"" in words) if parts else b""
