"""Match each file once with all predicates that concern it, and leave out lines that never run."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain

from rung.check.review.content import Content
from rung.check.review.files import Files
from rung.check.review.predicates import File, FilePredicate, Match
from rung.check.review.prefilter import Prefilter
from rung.check.review.reachability import is_documentation

NAMES_TESTS = re.compile(r"test|e2e|integration|conftest", re.IGNORECASE)
# What documentation may hold; code, pipelines and manifests there are examples.
OF_DOCUMENTS = ("exists", "headings", "keys", "larger_than_mb")
MAX_MATCHES = 3_000  # of one predicate, about

# What can start a function: code and tests of it, settings, recipes. Prose only speaks of it.
CAN_START = ("py", "ipynb", "yml", "yaml", "toml", "cfg", "ini", "json", "sh", "tf", "groovy", "")
DEFINITION = re.compile(rb"(?:async[ \t]+)?def[ \t]+(\w+)")
CONTINUES = b" \t)#"  # how a line begins that ends no function


def match(
    content: Content, predicates: Mapping[str, FilePredicate], tests: Collection[str]
) -> dict[str, list[Match]]:
    """Return where each predicate matches, by its name, the files near the root first.

    Args:
        content: Content of the repository.
        predicates: The predicates by name.
        tests: Files that only predicates about tests read.
    """
    matches: dict[str, list[Match]] = defaultdict(list)
    listed = list(predicates.items())
    concerned = _concerned(content, list(predicates.values()), tests)
    words = (word for predicate in predicates.values() for name in predicate.words for word in name)
    prefilter = Prefilter([predicate.needs for predicate in predicates.values()], words)
    idle: dict[str, frozenset[int]] = {}
    files = content.files
    for done, path in enumerate(sorted(concerned, key=lambda path: (path.count("/"), path))):
        if files.clock.is_up():
            files.left_out.out_of_time = True
            files.left_out.note("not reached in time", path, len(concerned) - done)
            break
        file = File(content, path, prefilter)
        lines: set[int] = set()  # that match
        possible = prefilter.by_literal[b""]
        if concerned[path] & ~possible:  # else it need not be read
            for literal in file.held:
                possible |= prefilter.by_literal.get(literal, 0)
        possible &= concerned[path]
        while possible:
            number = possible.bit_length() - 1
            possible ^= 1 << number
            name, predicate = listed[number]
            if any(file.held.keys().isdisjoint(clause) for clause in predicate.needs):
                continue
            if len(matches[name]) < MAX_MATCHES:
                located = [_located(content, each) for each in predicate.matches(file)]
                matches[name] += located
                lines.update(match.line for match in located)
        if lines and path.endswith(".py") and file.source:
            idle[path] = file.source.idle_lines(lines, path in tests)
    _mark_what_never_runs(content, predicates, matches, tests, idle, prefilter)
    return matches


def _concerned(
    content: Content, predicates: Collection[FilePredicate], tests: Collection[str]
) -> dict[str, int]:
    """Return the files that some predicate reads, with a bit for each predicate."""
    # By glob, whether tests count, and whether examples in the documentation do.
    readers: dict[tuple[str, bool, bool], int] = defaultdict(int)
    for number, predicate in enumerate(predicates):
        states = "in" in predicate.options or predicate.kind == "exists"
        for glob in predicate.globs:
            asks_for_tests = bool(states and NAMES_TESTS.search(glob))
            examples_count = predicate.kind in OF_DOCUMENTS or glob.endswith(".md")
            readers[glob, asks_for_tests, examples_count] |= 1 << number
    concerned: dict[str, int] = defaultdict(int)
    examples = frozenset(filter(is_documentation, content.files.lower))
    for (glob, asks_for_tests, examples_count), bits in readers.items():
        left_out = frozenset() if examples_count else examples
        for path in content.files.find(glob):
            if path not in left_out and (asks_for_tests or path not in tests):
                concerned[path] |= bits
    return concerned


def _located(content: Content, match: Match) -> Match:
    """Return a match in a notebook's code with the line of its file."""
    if not match.in_notebook or not match.line:
        return match
    return replace(match, line=content.line_in_notebook(match.path, match.line))


def _mark_what_never_runs(
    content: Content,
    predicates: Mapping[str, FilePredicate],
    matches: Mapping[str, list[Match]],
    tests: Collection[str],
    idle: Mapping[str, frozenset[int]],
    prefilter: Prefilter,
) -> None:
    """Replace a match in lines that never run by the next match, or mark it."""
    matched: dict[str, set[int]] = defaultdict(set)
    for match in chain.from_iterable(matches.values()):
        if match.line and match.path.endswith(".py"):
            matched[match.path].add(match.line)
    lines = _unnamed_functions(content, {path: matched[path] for path in matched.keys() - tests})
    for path, numbers in idle.items():
        if numbers and not numbers.isdisjoint(matched[path]):
            lines[path] = lines.get(path, frozenset()) | numbers
    files = {path: File.without(File(content, path, prefilter), lines[path]) for path in lines}
    for name, listed in matches.items():
        for at, match in enumerate(listed):
            if match.line in lines.get(match.path, ()):
                again = predicates[name].matches(files[match.path])
                listed[at] = next(again, None) or replace(match, runs=False)


def _unnamed_functions(
    content: Content, matched: Mapping[str, Collection[int]]
) -> dict[str, frozenset[int]]:
    """Return the lines of functions that nothing names, by file, where a line of them matched.

    Only functions of a module without a decorator are looked at. A second mention in its file, or
    one in another that can start something, is taken for a use: the name alone is compared.
    """
    files = content.files
    suspects: dict[str, list[str]] = defaultdict(list)
    for path, numbers in matched.items():
        for name in _named_once(files.read(path) or b"", numbers):
            suspects[name].append(path)
    for called in files.reading.called_by_frameworks:
        suspects.pop(called, None)
    unnamed = {name.encode(): name for name in suspects}
    names = Prefilter([[frozenset(unnamed)]])
    for path in _that_can_start(files):
        if not unnamed or files.clock.stops(files.left_out, path):
            return {}
        raw = files.read(path) or b""
        for word in unnamed.keys() & names.positions(raw).keys():
            if suspects[unnamed[word]] != [path] and _mentions(raw, unnamed[word]):
                del unnamed[word]
    by_file: dict[str, frozenset[int]] = {}
    for name in unnamed.values():
        (path,) = suspects[name]
        source = content.python(path)
        if source and (function := source.functions.get(name)):
            by_file[path] = by_file.get(path, frozenset()) | function.lines
    return by_file


def _mentions(raw: bytes, name: str) -> int:
    """Return how often a text holds a name that is no part of a longer one."""
    word = name.encode()  # first, which makes the search fast
    return len(re.findall(rb"%b(?<![A-Za-z0-9_]%b)(?![A-Za-z0-9_])" % (word, word), raw))


def _named_once(raw: bytes, numbers: Iterable[int]) -> Iterator[str]:
    """Give the functions in which lines stand and that their file names once."""
    written = raw.split(b"\n")
    names = {_function(written, number) for number in numbers} - {""}
    return (name for name in names if _mentions(raw, name) == 1)


def _function(written: Sequence[bytes], number: int) -> str:
    """Return the name of the function of the module that contains a line; else nothing."""
    at = min(number, len(written)) - 1
    while at >= 0 and (not written[at].strip() or written[at][:1] in CONTINUES):
        at -= 1
    definition = DEFINITION.match(written[at]) if at >= 0 else None
    above = (line for line in reversed(written[:at]) if line.strip() and line[:1] != b"#")
    before = next(above, b"") if definition else b""
    is_plain = definition is not None and before[:1] not in (b"@", b")")
    return definition[1].decode() if definition and is_plain else ""


def _that_can_start(files: Files) -> Iterator[str]:
    for ending in CAN_START:
        for path in files.by_ending.get(ending, ()):
            if files.size(path) <= files.limits.text:
                yield path
