"""Match each file once with all predicates that concern it."""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import replace
from itertools import chain

from rung.review import unnamed
from rung.review.content import Content
from rung.review.hit import Hit
from rung.review.leaf import Leaf
from rung.review.predicates import PREDICATES
from rung.review.prefilter import Prefilter
from rung.review.view import View
from rung.review.vocabulary import Vocabulary

NAMES_TESTS = re.compile(r"test|e2e|integration|conftest", re.IGNORECASE)
KEPT = 3_000  # hits of one predicate, about
FEW = 100  # literals: to look for these alone, as in tests, saves more than it costs to prepare


def match(
    content: Content, leaves: Mapping[str, Leaf], tests: Collection[str]
) -> dict[str, list[Hit]]:
    """Return where each predicate matches, by its name, the files near the root first.

    Args:
        content: of the repository.
        leaves: the predicates.
        tests: files that only predicates about tests read.
    """
    hits: dict[str, list[Hit]] = defaultdict(list)
    listed = list(leaves.items())
    concerned = _concerned(content, list(leaves.values()), tests)
    prefilters: dict[int, Prefilter] = {}
    vocabulary = Vocabulary({literal for leaf in leaves.values() for literal in leaf.literals})
    files = content.files
    for done, path in enumerate(sorted(concerned, key=lambda path: (path.count("/"), path))):
        if files.clock.is_up():
            files.left_out.out_of_time = True
            files.left_out.note("not reached in time", path, len(concerned) - done)
            break
        bits = concerned[path]
        if bits not in prefilters:
            asked = [one for number, one in enumerate(listed) if bits >> number & 1]
            literals = {literal for _, leaf in asked for literal in leaf.literals}
            own = Vocabulary(literals) if len(literals) <= FEW else vocabulary
            prefilters[bits] = Prefilter(asked, own)
        view = View(content, path)
        for name, leaf in prefilters[bits].possible(view):
            if len(hits[name]) < KEPT:
                matches = PREDICATES[leaf.kind](view, leaf)
                hits[name].extend(_located(content, hit) for hit in matches)
    _mark_what_nothing_calls(content, leaves, hits, tests)
    return hits


def _concerned(
    content: Content, leaves: Collection[Leaf], tests: Collection[str]
) -> dict[str, int]:
    """Return the files that some predicate reads, with a bit for each predicate."""
    asked: dict[tuple[str, bool], int] = defaultdict(int)  # by glob and whether tests count
    for number, leaf in enumerate(leaves):
        states = "in" in leaf.options or leaf.kind == "exists"
        for glob in leaf.globs:
            asked[glob, bool(states and NAMES_TESTS.search(glob))] |= 1 << number
    concerned: dict[str, int] = defaultdict(int)
    for (glob, asks_for_tests), bits in asked.items():
        for path in content.files.names.find(glob):
            if asks_for_tests or path not in tests:
                concerned[path] |= bits
    return concerned


def _located(content: Content, hit: Hit) -> Hit:
    """Return a hit in a notebook's code with the line of its file."""
    if not hit.in_notebook or not hit.line:
        return hit
    return replace(hit, line=content.line_in_notebook(hit.path, hit.line))


def _mark_what_nothing_calls(
    content: Content,
    leaves: Mapping[str, Leaf],
    hits: Mapping[str, list[Hit]],
    tests: Collection[str],
) -> None:
    """Replace a match in a function that nothing names by the next match, or mark it."""
    asked: dict[str, set[int]] = defaultdict(set)
    for hit in chain.from_iterable(hits.values()):
        if hit.line and hit.path.endswith(".py") and hit.path not in tests:
            asked[hit.path].add(hit.line)
    lines = unnamed.lines(content, asked)
    views = {path: View.without(content, path, lines[path]) for path in lines}
    for name, matches in hits.items():
        for at, hit in enumerate(matches):
            if hit.line in lines.get(hit.path, ()):
                again = PREDICATES[leaves[name].kind](views[hit.path], leaves[name])
                matches[at] = next(again, None) or replace(hit, runs=False)
