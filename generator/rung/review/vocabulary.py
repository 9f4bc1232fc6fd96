"""Which of some texts a file holds, by its words: a word that was met before is not looked into again."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from itertools import accumulate

WORD = bytes(byte if chr(byte).isalnum() or byte == 95 else 32 for byte in range(128)) + b" " * 128
MOST = 200_000  # words that are remembered


def words(raw: bytes) -> set[bytes]:
    """Return the words of a file, each once."""
    return set(raw.translate(WORD).split())


class Vocabulary:
    """Lower-case needles, and the words that hold them."""

    def __init__(self, needles: Iterable[bytes]) -> None:
        """Look for these needles, each by its longest word."""
        self.by_word: dict[bytes, list[bytes]] = defaultdict(list)
        self.unsure: set[bytes] = set()  # no word of theirs is long enough to be looked for
        for needle in needles:
            longest = max(words(needle), key=len, default=b"")
            if len(longest) < 3:
                self.unsure.add(needle)
            else:
                self.by_word[longest].append(needle)
        self.met: set[bytes] = set()
        self.holding: dict[bytes, set[bytes]] = defaultdict(set)  # a word, and what it holds

    def held(self, found: set[bytes]) -> set[bytes]:
        """Return the needles that a file of these words may hold: none is missing."""
        if new := found - self.met:
            self._meet(new)
        held = set(self.unsure)
        held.update(*(self.holding[word] for word in self.holding.keys() & found))
        return held

    def _meet(self, new: set[bytes]) -> None:
        if len(self.met) > MOST:
            self.met.clear()
            self.holding.clear()
        self.met |= new
        listed = list(new)
        text = b" ".join(listed).lower()
        starts = list(accumulate((len(each) + 1 for each in listed), initial=0))
        for word in filter(text.__contains__, self.by_word):
            place = text.find(word)
            while place >= 0:
                number = bisect_right(starts, place)
                self.holding[listed[number - 1]].update(self.by_word[word])
                place = text.find(word, starts[number])
