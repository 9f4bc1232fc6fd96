"""The matches of all predicates: each file is read once, and lines that never run do not count."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain

from rung.check.review.content import Content
from rung.check.review.files import Files, is_documentation
from rung.check.review.predicates import File, FilePredicate, Match
from rung.check.review.prefilter import Prefilter

NAMES_TESTS = re.compile(r"test|e2e|integration|conftest|locust", re.IGNORECASE)
# Predicates that count in documentation; code, pipelines and manifests there are examples.
IN_DOCUMENTATION = ("exists", "headings", "keys", "larger_than_mb")
MAX_MATCHES = 3_000  # of a predicate; the file in which it is exceeded is still read to its end

# Endings of files that can call a function: code, tests, settings, recipes. Prose cannot.
CALLERS = ("py", "ipynb", "yml", "yaml", "toml", "cfg", "ini", "json", "sh", "tf", "groovy", "")
DEFINITION = re.compile(rb"(?:async[ \t]+)?def[ \t]+(\w+)")
CONTINUES = b" \t)#"  # the first byte of a line that may still belong to a function above it


def match(
    content: Content,
    predicates: Mapping[str, FilePredicate],
    tests: Collection[str],
    not_collected: Collection[str] = (),
) -> dict[str, list[Match]]:
    """Return the matches of each predicate by name, in files near the root first.

    Only predicates about tests read tests, and none reads those that are not collected.
    """
    matches: dict[str, list[Match]] = defaultdict(list)
    listed = list(predicates.items())
    readers = _readers(content, list(predicates.values()), tests)
    for path in not_collected:
        readers.pop(path, None)
    prefilter = Prefilter([predicate.needs for predicate in predicates.values()])
    idle: dict[str, frozenset[int]] = {}
    files = content.files
    nearest = sorted(readers, key=lambda path: (path.count("/"), path))
    for done, path in enumerate(files.cheap_first(nearest)):
        if files.clock.is_up():
            files.left_out.note("not reached in time", path, len(readers) - done, partial=True)
            break
        file = File(content, path, prefilter)
        matching_lines: set[int] = set()
        possible = prefilter.by_literal[b""]
        if readers[path] & ~possible:  # otherwise the file need not be read
            for literal in file.positions:
                possible |= prefilter.by_literal.get(literal, 0)
        possible &= readers[path]
        while possible:
            number = possible.bit_length() - 1
            possible ^= 1 << number
            name, predicate = listed[number]
            if any(file.positions.keys().isdisjoint(clause) for clause in predicate.needs):
                continue
            if len(matches[name]) < MAX_MATCHES:
                located = [_located(content, match) for match in predicate.matches(file)]
                matches[name] += located
                matching_lines.update(match.line for match in located)
        if matching_lines and path.endswith(".py") and file.source:
            idle[path] = file.source.idle_lines(matching_lines, path in tests)
    ranks = {path: rank for rank, path in enumerate(nearest)}
    for listed_matches in matches.values():
        listed_matches.sort(key=lambda match: ranks[match.path])
    _exclude_idle_lines(content, predicates, matches, tests, idle, prefilter)
    return matches


def _readers(
    content: Content, predicates: Collection[FilePredicate], tests: Collection[str]
) -> dict[str, int]:
    """Return the files that predicates read, with a bit set for each predicate that does."""
    # By glob, whether tests count, and whether documentation does.
    by_glob: dict[tuple[str, bool, bool], int] = defaultdict(int)
    for number, predicate in enumerate(predicates):
        names_files = "in" in predicate.options or predicate.kind == "exists"
        for glob in predicate.globs:
            tests_count = bool(names_files and NAMES_TESTS.search(glob))
            documentation_counts = predicate.kind in IN_DOCUMENTATION or glob.endswith(".md")
            by_glob[glob, tests_count, documentation_counts] |= 1 << number
    readers: dict[str, int] = defaultdict(int)
    documentation = frozenset(filter(is_documentation, content.files.lower))
    for (glob, tests_count, documentation_counts), bits in by_glob.items():
        left_out = frozenset() if documentation_counts else documentation
        for path in content.files.find(glob):
            if path not in left_out and (tests_count or path not in tests):
                readers[path] |= bits
    return readers


def _located(content: Content, match: Match) -> Match:
    """Return a match with its line in the file; in a notebook, code has lines of its own."""
    if not match.in_notebook or not match.line:
        return match
    return replace(match, line=content.line_in_notebook(match.path, match.line))


def _exclude_idle_lines(
    content: Content,
    predicates: Mapping[str, FilePredicate],
    matches: Mapping[str, list[Match]],
    tests: Collection[str],
    idle: Mapping[str, frozenset[int]],
    prefilter: Prefilter,
) -> None:
    """Replace a match in lines that never run by the file's next match, or mark it as idle."""
    matched: dict[str, set[int]] = defaultdict(set)
    for match in chain.from_iterable(matches.values()):
        if match.line and match.path.endswith(".py"):
            matched[match.path].add(match.line)
    lines = _unnamed_functions(content, {path: matched[path] for path in matched.keys() - tests})
    for path, numbers in idle.items():
        if numbers and not numbers.isdisjoint(matched[path]):
            lines[path] = lines.get(path, frozenset()) | numbers
    files = {path: File(content, path, prefilter).without(lines[path]) for path in lines}
    for name, listed in matches.items():
        for at, match in enumerate(listed):
            if match.line in lines.get(match.path, ()):
                others = predicates[name].matches(files[match.path])
                listed[at] = next(others, None) or replace(match, runs=False)


def _unnamed_functions(
    content: Content, matched: Mapping[str, Collection[int]]
) -> dict[str, frozenset[int]]:
    """Return, by file, the lines of functions that have a match and are named nowhere else.

    Only a module's functions without a decorator are looked at. A second mention of the name in the
    same file, or one in another file that can call it, counts as a use (decision 49).
    """
    files = content.files
    paths: dict[str, list[str]] = defaultdict(list)  # by name of a function
    for path, numbers in matched.items():
        for name in _named_once(files.read(path) or b"", numbers):
            paths[name].append(path)
    for name in files.reading.called_by_frameworks:
        paths.pop(name, None)
    unnamed = {name.encode(): name for name in paths}
    names = Prefilter([[frozenset(unnamed)]])
    for path in _possible_callers(files):
        if not unnamed or files.stops(path):
            return {}
        raw = files.read(path) or b""
        for word in unnamed.keys() & names.positions(raw).keys():
            if paths[unnamed[word]] != [path] and _mentions(raw, unnamed[word]):
                del unnamed[word]
    by_file: dict[str, frozenset[int]] = {}
    for name in unnamed.values():
        (path,) = paths[name]
        source = content.python(path)
        if source and (function := source.functions.get(name)):
            by_file[path] = by_file.get(path, frozenset()) | function.lines
    return by_file


def _mentions(raw: bytes, name: str) -> int:
    """Return how often a text contains a name as a whole word."""
    word = name.encode()
    # The pattern begins with the word itself, which makes the search fast.
    return len(re.findall(rb"%b(?<![A-Za-z0-9_]%b)(?![A-Za-z0-9_])" % (word, word), raw))


def _named_once(raw: bytes, numbers: Iterable[int]) -> Iterator[str]:
    """Yield the names of functions that contain some lines and are named once in their file."""
    lines = raw.split(b"\n")
    names = {_function(lines, number) for number in numbers} - {""}
    return (name for name in names if _mentions(raw, name) == 1)


def _function(lines: Sequence[bytes], number: int) -> str:
    """Return the name of the undecorated module-level function that contains a line, or nothing."""
    at = min(number, len(lines)) - 1
    while at >= 0 and (not lines[at].strip() or lines[at][:1] in CONTINUES):
        at -= 1
    definition = DEFINITION.match(lines[at]) if at >= 0 else None
    above = (line for line in reversed(lines[:at]) if line.strip() and line[:1] != b"#")
    before = next(above, b"") if definition else b""
    is_plain = definition is not None and before[:1] not in (b"@", b")")
    return definition[1].decode() if definition and is_plain else ""


def _possible_callers(files: Files) -> Iterator[str]:
    for ending in CALLERS:
        for path in files.by_ending.get(ending, ()):
            if files.size(path) <= files.limits.text:
                yield path
