"""Which predicates a file can match at all, by the tokens and bytes it holds: most match none."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from rung.review.predicates import Leaf
from rung.review.view import View
from rung.review.vocabulary import Vocabulary

BY_TOKENS = ("imports", "calls")
FEW = 40  # literals, up to which a file is not split into tokens


class Prefilter:
    """The predicates that look at files of one kind."""

    def __init__(self, leaves: Sequence[tuple[str, Leaf]], vocabulary: Vocabulary) -> None:
        """Sort the predicates, each with its name, by what a file needs to match them."""
        self.leaves = leaves
        self.vocabulary = vocabulary
        self.always: list[int] = []
        self.by_literal: dict[bytes, list[int]] = defaultdict(list)
        self.by_token: dict[bytes, list[int]] = defaultdict(list)
        for index, (_, leaf) in enumerate(leaves):
            if leaf.kind in BY_TOKENS:
                for token in leaf.required_tokens:
                    self.by_token[token].append(index)
            elif leaf.best_literals:
                for literal in leaf.best_literals:
                    self.by_literal[literal].append(index)
            else:
                self.always.append(index)

    def possible(self, view: View) -> Iterable[tuple[str, Leaf]]:
        """Return the predicates that a file may match, in their order."""
        indexes = {*self.always, *self._by_literals(view), *self._by_tokens(view)}
        return [self.leaves[index] for index in sorted(indexes)]

    def _by_literals(self, view: View) -> Iterable[int]:
        if not self.by_literal:
            return  # and do not read the file
        if len(self.by_literal) < FEW:
            held: bytes | AbstractSet[bytes] = view.lower
            literals = {literal for literal in self.by_literal if literal in view.lower}
        else:
            held = view.candidates = self.vocabulary.candidates(view.tokens)
            literals = self.by_literal.keys() & held
        for index in {index for literal in literals for index in self.by_literal[literal]}:
            if all(required.met_by(held) for required in self.leaves[index][1].required_literals):
                yield index

    def _by_tokens(self, view: View) -> Iterable[int]:
        for token in self.by_token.keys() & view.tokens if self.by_token else ():
            for index in self.by_token[token]:
                if any(map(view.tokens.issuperset, self.leaves[index][1].required_tokens[token])):
                    yield index
