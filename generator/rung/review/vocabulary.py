"""Which literals a file may hold, by its tokens: a token that was met before is not searched again."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from itertools import accumulate

TOKEN = bytes(byte if chr(byte).isalnum() or byte == 95 else 32 for byte in range(128)) + b" " * 128
MOST = 200_000  # tokens that are remembered


def tokens(raw: bytes) -> set[bytes]:
    """Return the tokens of a file, each once."""
    return set(raw.translate(TOKEN).split())


class Vocabulary:
    """Lower-case literals, and the tokens that hold them."""

    def __init__(self, literals: Iterable[bytes]) -> None:
        """Look for these literals, each by its longest token."""
        self.by_token: dict[bytes, list[bytes]] = defaultdict(list)
        self.unsure: set[bytes] = set()  # no token of theirs is long enough to be looked for
        for literal in literals:
            longest = max(tokens(literal), key=len, default=b"")
            if len(longest) < 3:
                self.unsure.add(literal)
            else:
                self.by_token[longest].append(literal)
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
        for token in filter(text.__contains__, self.by_token):
            position = text.find(token)
            while position >= 0:
                number = bisect_right(starts, position)
                self.literals_in[listed[number - 1]].update(self.by_token[token])
                position = text.find(token, starts[number])
