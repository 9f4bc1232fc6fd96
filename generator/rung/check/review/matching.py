"""Match each file once with all predicates that concern it."""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import replace
from itertools import chain

from rung.check.review import idle_lines, unnamed
from rung.check.review.content import Content
from rung.check.review.hit import Hit
from rung.check.review.leaf import Leaf
from rung.check.review.predicates import PREDICATES
from rung.check.review.prefilter import Prefilter
from rung.check.review.reachability import is_documentation
from rung.check.review.view import View
from rung.check.review.vocabulary import Vocabulary

NAMES_TESTS = re.compile(r"test|e2e|integration|conftest", re.IGNORECASE)
# What documentation may hold; code, pipelines and manifests there are examples.
OF_DOCUMENTS = ("exists", "headings", "keys", "larger_than_mb")
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
    idle: dict[str, frozenset[int]] = {}
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
        is_hit = False
        for name, leaf in prefilters[bits].possible(view):
            if len(hits[name]) < KEPT:
                matches = [_located(content, hit) for hit in PREDICATES[leaf.kind](view, leaf)]
                hits[name] += matches
                is_hit = is_hit or bool(matches)
        if is_hit and path.endswith(".py"):
            idle[path] = idle_lines.lines(view.raw, path in tests)
    _mark_what_never_runs(content, leaves, hits, tests, idle)
    return hits


def _concerned(
    content: Content, leaves: Collection[Leaf], tests: Collection[str]
) -> dict[str, int]:
    """Return the files that some predicate reads, with a bit for each predicate."""
    # By glob, whether tests count, and whether examples in the documentation do.
    asked: dict[tuple[str, bool, bool], int] = defaultdict(int)
    for number, leaf in enumerate(leaves):
        states = "in" in leaf.options or leaf.kind == "exists"
        for glob in leaf.globs:
            asks_for_tests = bool(states and NAMES_TESTS.search(glob))
            examples_count = leaf.kind in OF_DOCUMENTS or glob.endswith(".md")
            asked[glob, asks_for_tests, examples_count] |= 1 << number
    concerned: dict[str, int] = defaultdict(int)
    examples = frozenset(filter(is_documentation, content.files.names.lower))
    for (glob, asks_for_tests, examples_count), bits in asked.items():
        left_out = frozenset() if examples_count else examples
        for path in content.files.names.find(glob):
            if path not in left_out and (asks_for_tests or path not in tests):
                concerned[path] |= bits
    return concerned


def _located(content: Content, hit: Hit) -> Hit:
    """Return a hit in a notebook's code with the line of its file."""
    if not hit.in_notebook or not hit.line:
        return hit
    return replace(hit, line=content.line_in_notebook(hit.path, hit.line))


def _mark_what_never_runs(
    content: Content,
    leaves: Mapping[str, Leaf],
    hits: Mapping[str, list[Hit]],
    tests: Collection[str],
    idle: Mapping[str, frozenset[int]],
) -> None:
    """Replace a match in lines that never run by the next match, or mark it."""
    asked: dict[str, set[int]] = defaultdict(set)
    for hit in chain.from_iterable(hits.values()):
        if hit.line and hit.path.endswith(".py"):
            asked[hit.path].add(hit.line)
    lines = unnamed.lines(content, {path: asked[path] for path in asked.keys() - tests})
    for path, numbers in idle.items():
        if numbers and not numbers.isdisjoint(asked[path]):
            lines[path] = lines.get(path, frozenset()) | numbers
    views = {path: View.without(content, path, lines[path]) for path in lines}
    for name, matches in hits.items():
        for at, hit in enumerate(matches):
            if hit.line in lines.get(hit.path, ()):
                again = PREDICATES[leaves[name].kind](views[hit.path], leaves[name])
                matches[at] = next(again, None) or replace(hit, runs=False)
