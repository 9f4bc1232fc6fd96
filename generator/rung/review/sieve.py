"""Which predicates a file can match at all, by the words and bytes it holds: most match none."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from rung.review.predicates import Leaf
from rung.review.view import View

BY_WORDS = ("imports", "calls")


class Sieve:
    """The predicates that look at files of one kind."""

    def __init__(self, leaves: Sequence[tuple[str, Leaf]]) -> None:
        """Sort the predicates, each with its name, by what a file needs to match them."""
        self.leaves = leaves
        self.always: list[int] = []
        self.by_needle: dict[bytes, list[int]] = defaultdict(list)
        self.by_word: dict[bytes, list[int]] = defaultdict(list)
        for place, (_, leaf) in enumerate(leaves):
            if leaf.kind in BY_WORDS:
                for word in leaf.words:
                    self.by_word[word].append(place)
            elif leaf.needles:
                for needle in leaf.needles:
                    self.by_needle[needle].append(place)
            else:
                self.always.append(place)

    def possible(self, view: View) -> Iterable[tuple[str, Leaf]]:
        """Return the predicates that a file may match, in their order."""
        places = set(self.always)
        if self.by_needle:
            lower = view.lower
            for needle in [each for each in self.by_needle if each in lower]:
                places.update(self.by_needle[needle])
        if self.by_word:
            for word in self.by_word.keys() & view.words:
                places.update(self.by_word[word])
        return [self.leaves[place] for place in sorted(places)]
