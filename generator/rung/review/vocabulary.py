"""Which needles a file may hold, by its tokens: a token that was met before is not searched again."""

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
    """Lower-case needles, and the tokens that hold them."""

    def __init__(self, needles: Iterable[bytes]) -> None:
        """Look for these needles, each by its longest token."""
        self.by_token: dict[bytes, list[bytes]] = defaultdict(list)
        self.unsure: set[bytes] = set()  # no token of theirs is long enough to be looked for
        for needle in needles:
            longest = max(tokens(needle), key=len, default=b"")
            if len(longest) < 3:
                self.unsure.add(needle)
            else:
                self.by_token[longest].append(needle)
        self.met: set[bytes] = set()
        self.holding: dict[bytes, set[bytes]] = defaultdict(set)  # a token, and what it holds

    def held(self, found: set[bytes]) -> set[bytes]:
        """Return the needles that a file of these tokens may hold: none is missing."""
        if new := found - self.met:
            self._meet(new)
        held = set(self.unsure)
        held.update(*(self.holding[token] for token in self.holding.keys() & found))
        return held

    def _meet(self, new: set[bytes]) -> None:
        if len(self.met) > MOST:
            self.met.clear()
            self.holding.clear()
        self.met |= new
        listed = list(new)
        text = b" ".join(listed).lower()
        starts = list(accumulate((len(each) + 1 for each in listed), initial=0))
        for token in filter(text.__contains__, self.by_token):
            position = text.find(token)
            while position >= 0:
                number = bisect_right(starts, position)
                self.holding[listed[number - 1]].update(self.by_token[token])
                position = text.find(token, starts[number])
