"""Which predicates a file can match at all, by the tokens and bytes it holds: most match none."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from rung.check.review.leaf import BY_TOKENS, Leaf
from rung.check.review.literals import RequiredLiterals
from rung.check.review.vocabulary import Vocabulary
from rung.check.review.written import Written


class Prefilter:
    """The predicates that look at files of one kind."""

    def __init__(self, leaves: Sequence[tuple[str, Leaf]], vocabulary: Vocabulary) -> None:
        """Sort the predicates, each with its name, by what a file needs to match them."""
        self.leaves = leaves
        self.vocabulary = vocabulary
        self.always: list[int] = []
        self.further: dict[int, Sequence[RequiredLiterals]] = {}
        self.by_literal: dict[bytes, list[int]] = defaultdict(list)
        self.by_token: dict[bytes, list[tuple[bytes, int]]] = defaultdict(list)
        for index, (_, leaf) in enumerate(leaves):
            if leaf.kind in BY_TOKENS:
                for token in leaf.required_tokens:
                    self.by_token[token.lower()].append((token, index))
            elif leaf.best_literals:
                for literal in leaf.best_literals:
                    self.by_literal[literal].append(index)
                first = leaf.required_literals[0]
                self.further[index] = leaf.required_literals[first.is_one :]
            else:
                self.always.append(index)

    def possible(self, view: Written) -> Iterable[tuple[str, Leaf]]:
        """Return the predicates that a file may match, in their order."""
        indexes = {*self.always, *self._by_literals(view), *self._by_tokens(view)}
        return [self.leaves[index] for index in sorted(indexes)]

    def _by_literals(self, view: Written) -> Iterable[int]:
        if not self.by_literal:
            return  # and do not read the file
        held = view.held(self.vocabulary)
        literals = self.by_literal.keys() & held
        for index in {index for literal in literals for index in self.by_literal[literal]}:
            if all(required.met_by(held) for required in self.further[index]):
                yield index

    def _by_tokens(self, view: Written) -> Iterable[int]:
        if not self.by_token:
            return
        for literal in self.by_token.keys() & view.held(self.vocabulary):
            for token, index in self.by_token[literal]:
                leaf = self.leaves[index][1]
                may_have = view.may_import if leaf.kind == "imports" else view.may_call
                if any(map(may_have, leaf.required_tokens[token])):
                    yield index
