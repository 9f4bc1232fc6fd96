"""Functions that nothing in a repository names, so that nothing calls them."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from rung.check.review import functions
from rung.check.review.content import Content
from rung.check.review.vocabulary import Vocabulary, has_word, mentions

# What can start a function: code and tests of it, settings, recipes. Prose only speaks of it.
CAN_START = ("py", "ipynb", "yml", "yaml", "toml", "cfg", "ini", "json", "sh", "tf", "groovy", "")
DEF = re.compile(rb"(?:async[ \t]+)?def[ \t]+(\w+)")
CONTINUES = b" \t)#"  # how a line begins that ends no function


def lines(content: Content, asked: Mapping[str, Collection[int]]) -> dict[str, frozenset[int]]:
    """Return the lines of functions that nothing names, by file, where a line of them is asked for.

    Only functions of a module without a decorator are looked at. A second mention in its file, or
    one in another that can start something, is taken for a use: the name alone is compared.

    Args:
        content: of the repository.
        asked: numbers of lines, from 1, of files of Python.
    """
    suspects: dict[bytes, list[str]] = defaultdict(list)
    for path, numbers in asked.items():
        for name in _named_once(content.files.read(path) or b"", numbers):
            suspects[name].append(path)
    for called in content.files.reading.called_by_frameworks:
        suspects.pop(called.encode(), None)
    unnamed = set(suspects)
    vocabulary = Vocabulary(unnamed)
    files = content.files
    for path in _that_can_start(content):
        if not unnamed or files.clock.stops(files.left_out, path):
            return {}
        raw = files.read(path) or b""
        elsewhere = {name for name in vocabulary.held(raw) & unnamed if suspects[name] != [path]}
        unnamed -= {name for name in elsewhere if has_word(raw, name)}
    by_file: dict[str, frozenset[int]] = {}
    for name in unnamed:
        (path,) = suspects[name]
        source = content.python(path)
        known = functions.read(source) if source else {}
        if function := known.get(name.decode()):
            by_file[path] = by_file.get(path, frozenset()) | function.lines
    return by_file


def _named_once(raw: bytes, numbers: Iterable[int]) -> Iterator[bytes]:
    """Give the functions in which lines stand and that their file names once."""
    written = raw.split(b"\n")
    names = {_function(written, number) for number in numbers} - {b""}
    return (name for name in names if len([*mentions(raw, name)]) == 1)


def _function(written: Sequence[bytes], number: int) -> bytes:
    """Return the name of the function of the module that contains a line; else nothing."""
    at = min(number, len(written)) - 1
    while at >= 0 and (not written[at].strip() or written[at][:1] in CONTINUES):
        at -= 1
    match = DEF.match(written[at]) if at >= 0 else None
    above = (line for line in reversed(written[:at]) if line.strip() and line[:1] != b"#")
    before = next(above, b"") if match else b""
    return match[1] if match and before[:1] not in (b"@", b")") else b""


def _that_can_start(content: Content) -> Iterator[str]:
    files = content.files
    for ending in CAN_START:
        group = files.names.by_ending.get(ending)
        for path in group.paths if group else ():
            if files.size(path) <= files.limits.text:
                yield path
