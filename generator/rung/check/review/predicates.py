"""The predicates that look at files: the table from a name in levels/ to a function."""

import re
from collections.abc import Callable, Iterator

from rung.check.review import data_files, documents, functions
from rung.check.review.data_files import Node
from rung.check.review.hit import Hit
from rung.check.review.leaf import FLAGS, Leaf
from rung.check.review.lines import Lines
from rung.check.review.literals import RequiredLiterals
from rung.check.review.view import View

OFF = re.compile("|false|off|no|none|null|disabled", re.IGNORECASE)  # of a key's value


def exists(view: View, leaf: Leaf) -> Iterator[Hit]:
    """A file of that name that says something."""
    if view.has_content:
        yield Hit(view.path, 0, view.path)


def larger_than_mb(view: View, leaf: Leaf) -> Iterator[Hit]:
    """A file of that name that is larger."""
    size = view.content.files.size(view.path)
    if size > leaf.value * 1_000_000:
        yield Hit(view.path, 0, f"{size / 1_000_000:,.1f} MB")


def imports(view: View, leaf: Leaf) -> Iterator[Hit]:
    """Python code that imports one of the modules, or a part of it."""
    if view.source is None:
        return
    for name, line in view.source.imports.items():
        parts = name.split(".")
        if any(".".join(parts[:end]) in leaf.wanted for end in range(1, len(parts) + 1)):
            yield Hit(view.path, line, view.line(line) or name)
            return


def calls(view: View, leaf: Leaf) -> Iterator[Hit]:
    """Python code that calls one of the names, decorates with it or derives from it."""
    if view.source is None:
        return
    for name, line in view.source.calls.items():
        parts = name.lstrip(".").split(".")
        if parts[-1] in leaf.last_parts and any(
            ".".join(parts[start:]) in leaf.wanted for start in range(len(parts))
        ):
            yield Hit(view.path, line, view.line(line) or name)
            return


def text(view: View, leaf: Leaf) -> Iterator[Hit]:
    """A line that matches."""
    (regex,) = leaf.regexes
    required = next(iter(leaf.required_literals), None)
    lines = view.searchable_for(regex, required)
    for number in _matching_lines(view, lines, regex, required):
        line = lines.lines[number - 1]
        yield Hit(view.path, number, view.line(number) or line.strip())
        return


def function(view: View, leaf: Leaf) -> Iterator[Hit]:
    """A function whose name and body match, with what it calls in the same file."""
    (named,) = leaf.regexes
    # What is cheap to see comes first: to tell strings and comments apart takes longest.
    if leaf.value and not any(map(named.search, view.defined)):
        return
    if not all(view.may_match(*one) for one in leaf.cheapest_first):
        return
    matched: list[set[int]] = []  # by expression, the lines that match
    for regex, required in leaf.cheapest_first:
        matched.append(set(_matching_lines(view, view.calling_lines, regex, required)))
        if not matched[-1]:
            return
    for one in view.functions.values():
        if not named.search(one.name):
            continue
        lines = frozenset().union(*(each.lines for each in functions.leads_to(one, view.functions)))
        if all(not lines.isdisjoint(numbers) for numbers in matched):
            line = one.line if one.name else min(matched[0] & lines)
            yield Hit(view.path, line, view.line(line) or one.name)
            return


def _matching_lines(
    view: View, lines: Lines, regex: re.Pattern[str], required: RequiredLiterals | None
) -> Iterator[int]:
    for number in (
        lines.numbers_containing(view.held_of(required))
        if required
        else range(1, len(lines.lines) + 1)
    ):
        if view.content.files.clock.stops(view.content.files.left_out, view.path):
            return
        if regex.search(lines.lines[number - 1]):
            yield number


def headings(view: View, leaf: Leaf) -> Iterator[Hit]:
    """A document that has text below a heading for each of the expressions."""
    hits = []
    for regex in leaf.regexes:
        for title, line, below in view.sections:
            if regex.search(title[:300]) and documents.has_content(below):
                hits.append(Hit(view.path, line, title))
                break
        else:
            return
    yield from hits


def key(view: View, leaf: Leaf) -> Iterator[Hit]:
    """A data file that has a key, with such a value where one is stated."""
    if leaf.best_literals and leaf.best_literals[0] not in view.lower:
        return
    matches = leaf.options.get("matches")
    least = leaf.options.get("at_least")
    for document in view.nodes:
        for node in data_files.search(document, leaf.value):
            values = node.texts()
            if matches and not any(re.search(matches, value, FLAGS) for value in values):
                continue
            if least and not any(_number(value) >= least for value in values):
                continue
            if not matches and not least and _is_off(node):
                continue
            yield Hit(view.path, node.line, view.line(node.line) if node.line else leaf.value)
            return


def keys(view: View, leaf: Leaf) -> Iterator[Hit]:
    """A data file that has all the keys, or as many as stated, with values that say something."""
    least = leaf.options.get("at_least", len(leaf.value))
    wanted = {name.lower() for name in leaf.value}
    present: dict[str, int] = {}
    for document in view.nodes:
        for name, node in data_files.walk(document):
            plain = re.sub(r"[\s-]+", "_", name or "").lower()
            filled = node.entries or (node.value and not documents.is_placeholder(node.value))
            if plain in wanted and filled:
                present.setdefault(plain, node.line)
    if len(present) >= least:
        line = min(filter(None, present.values()), default=0)
        yield Hit(view.path, line, ", ".join(sorted(present)))


def _is_off(node: Node) -> bool:
    enabled = node.get("enabled")
    value = node.value if enabled is None else enabled.value
    return value is not None and OFF.fullmatch(value.strip()) is not None


def _number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return float("-inf")


# Adding one: a function above, a line here, a row in levels/README.md.
PREDICATES: dict[str, Callable[[View, Leaf], Iterator[Hit]]] = {
    "exists": exists,
    "larger_than_mb": larger_than_mb,
    "imports": imports,
    "calls": calls,
    "text": text,
    "function": function,
    "headings": headings,
    "key": key,
    "keys": keys,
}
