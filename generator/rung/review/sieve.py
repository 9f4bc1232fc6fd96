"""Which predicates a file can match at all, by the words and bytes it holds: most match none."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from rung.review.predicates import Leaf
from rung.review.view import View
from rung.review.vocabulary import Vocabulary

BY_WORDS = ("imports", "calls")
FEW = 40  # needles, up to which a file is not taken apart into words


class Sieve:
    """The predicates that look at files of one kind."""

    def __init__(self, leaves: Sequence[tuple[str, Leaf]], vocabulary: Vocabulary) -> None:
        """Sort the predicates, each with its name, by what a file needs to match them."""
        self.leaves = leaves
        self.vocabulary = vocabulary
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
        places = {*self.always, *self._by_needles(view), *self._by_words(view)}
        return [self.leaves[place] for place in sorted(places)]

    def _by_needles(self, view: View) -> Iterable[int]:
        if not self.by_needle:
            return  # and do not read the file
        if len(self.by_needle) < FEW:
            held: bytes | AbstractSet[bytes] = view.lower
            found = {needle for needle in self.by_needle if needle in view.lower}
        else:
            held = view.may_hold = self.vocabulary.held(view.words)
            found = self.by_needle.keys() & held
        for place in {place for needle in found for place in self.by_needle[needle]}:
            if all(need.met_by(held) for need in self.leaves[place][1].needs):
                yield place

    def _by_words(self, view: View) -> Iterable[int]:
        for word in self.by_word.keys() & view.words if self.by_word else ():
            for place in self.by_word[word]:
                if any(map(view.words.issuperset, self.leaves[place][1].words[word])):
                    yield place
