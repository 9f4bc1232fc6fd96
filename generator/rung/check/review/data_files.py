"""YAML, TOML, JSON and notebooks as plain nodes with line numbers, read within limits.

YAML is read event by event: an alias stays a reference, so that no text can expand, and
reading stops before deep nesting exhausts the stack.
"""

import json
import re
import tomllib
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import yaml

from rung.system.plain_yaml import Loader

MAX_DEPTH = 60
MAX_EVENTS = 60_000
MAX_STEPS = 50_000  # per search
STARTS = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
ENDS = (yaml.MappingEndEvent, yaml.SequenceEndEvent)
BLOCK = ("|", ">")  # styles of scalars that begin below their keys
MAX_MISSED = 200  # keys and values of a file that are not found; then the search for lines ends
DEEP_TOML = re.compile(r"^[^=\n#\"']*(?:\.[^=\n.#\"']*){60}", re.MULTILINE)


@dataclass
class Node:
    """A value of a data file: a scalar, a mapping or a list."""

    line: int  # first line, from 1, that of its key; 0 if it is not known
    value: str | None = None  # the scalar as text; None of a mapping or list
    # Key and node of each entry of a mapping; None and node of each entry of a list.
    entries: list[tuple[str | None, "Node"]] = field(default_factory=list)
    last: int = 0  # last line, in YAML
    first: int = 0  # line in which the text of a scalar begins: below `run: |`

    def __bool__(self) -> bool:
        """Whether the file has it."""
        return self is not NOTHING

    def get(self, *names: str) -> "Node":
        """Return the node below these keys; NOTHING, which is false, if there is none."""
        current = self
        for name in names:
            current = next((node for key, node in current.entries if key == name), NOTHING)
        return current

    def remove(self, is_dead: Callable[[str | None, "Node"], object]) -> list["Node"]:
        """Remove the entries of which this holds, and return their nodes."""
        kept, dead = [], []
        for key, node in self.entries:
            if is_dead(key, node):
                dead.append(node)
            else:
                kept.append((key, node))
        self.entries = kept
        return dead

    @property
    def script_line(self) -> int:
        """Return the line in which a script begins, as the scalar or in a list of arguments."""
        scripts = (node.first for _, node in self.entries if "\n" in (node.value or ""))
        return self.first or next(scripts, self.line)

    @property
    def is_mapping(self) -> bool:
        """Whether the entries have keys."""
        return any(key for key, _ in self.entries)

    def texts(self) -> list[str]:
        """Return the scalar itself, or the scalars of a list."""
        if self.value is not None:
            return [self.value]
        return [node.value for _, node in self.entries if node.value is not None]


NOTHING = Node(0)


class UnreadableError(ValueError):
    """A data file that does not parse, or exceeds the limits."""


def read(path: str, text: str) -> list[Node]:
    """Return the documents of a data file.

    Raises:
        UnreadableError: The file does not parse, or exceeds the limits.
    """
    try:
        if path.endswith((".toml", "Pipfile")):
            if DEEP_TOML.search(text):
                raise UnreadableError("nested too deep")
            return [_plain(tomllib.loads(text), LineLocator(text))]
        if path.endswith((".json", ".ipynb")):
            return [_plain(json.loads(text), LineLocator(text))]
        return list(_yaml(text))
    except UnreadableError:
        raise
    except (yaml.YAMLError, ValueError, RecursionError, MemoryError) as error:
        raise UnreadableError(type(error).__name__) from error


def _yaml(text: str) -> Iterator[Node]:
    loader = Loader(text)
    anchors: dict[str, Node] = {}
    stack: list[Node] = []
    keys: list[str | None] = []
    number = key_line = last = 0
    try:
        while loader.check_event():
            event = loader.get_event()
            number += 1
            if number > MAX_EVENTS or len(stack) > MAX_DEPTH:
                raise UnreadableError("too large or nested too deep")
            kind = type(event)
            if kind in ENDS:
                stack.pop().last = last
                keys.pop()
                continue
            line = event.start_mark.line + 1 if event.start_mark else 0
            if kind is yaml.AliasEvent:
                node = anchors.get(str(event.anchor)) or Node(line, "")
            elif kind is yaml.ScalarEvent:
                node = Node(line, event.value, first=line + (event.style in BLOCK))
                # The end mark of a block scalar is at the start of the line below it.
                end = event.end_mark
                last = max(line, end.line + (end.column > 0)) if end else line
                node.last = last
            elif kind in STARTS:
                node = Node(line)
            else:
                continue
            if not stack:
                yield node
            elif keys[-1] is MAPPING and node.value is not None:
                keys[-1] = node.value  # a key; its value follows
                key_line = node.line
                continue
            else:
                stack[-1].entries.append((keys[-1] if keys[-1] is not SEQUENCE else None, node))
                if keys[-1] is not SEQUENCE:
                    keys[-1] = MAPPING
                    if kind is not yaml.AliasEvent:
                        node.line = key_line
            if kind in STARTS:
                stack.append(node)
                keys.append(MAPPING if kind is yaml.MappingStartEvent else SEQUENCE)
            if event.anchor and kind is not yaml.AliasEvent:
                anchors[event.anchor] = node
    finally:
        loader.dispose()


# States in the key stack of `_yaml`, besides a key whose value is next.
MAPPING = "\0a key is to come"
SEQUENCE = "\0no key"


class LineLocator:
    """A search for the lines of keys and values, in the order of the text.

    The parsers of TOML and JSON give no line numbers.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self.position = 0
        self.missed = 0

    def line(self, value: str) -> int:
        """Return the line of the next occurrence of a key or value; 0 if there is none."""
        text = re.split(r"[\n\"'\\]", value.strip(), maxsplit=1)[0][:80]  # as it is in the file
        if not text or self.missed > MAX_MISSED:
            return 0
        position = self._find(text, self.position)
        if position < 0:
            self.missed += 1
            position = self._find(text, 0)
            return bisect_right(self.starts, position) if position >= 0 else 0
        self.position = position + len(text)
        return bisect_right(self.starts, position)

    def _find(self, text: str, position: int) -> int:
        for _ in range(50):
            position = self.text.find(text, position)
            end = position + len(text)
            if position < 0 or not (
                (position and _in_word(self.text[position - 1]))
                or _in_word(self.text[end : end + 1])
            ):
                return position
            position = end
        return -1


def _in_word(letter: str) -> bool:
    return letter.isalnum() or letter == "_"


def _plain(data: Any, locator: LineLocator) -> Node:
    top = Node(1)
    waiting: list[tuple[Any, Node, int, str | None]] = [(data, top, 0, None)]
    number = 0
    while waiting:
        value, node, depth, key = waiting.pop()
        number += 1
        if number > MAX_EVENTS or depth > MAX_DEPTH:
            raise UnreadableError("too large or nested too deep")
        if key is not None:
            node.line = locator.line(key) or node.line
        if isinstance(value, dict):
            pairs: list[tuple[str | None, Any]] = [(str(key), item) for key, item in value.items()]
        elif isinstance(value, list):
            pairs = [(None, item) for item in value]
        else:
            node.value = _scalar(value)
            if key is None and depth:
                node.line = locator.line(node.value) or node.line
            node.first = node.line + ("\n" in node.value)
            continue
        node.entries = [(name, Node(node.line)) for name, _ in pairs]
        for (name, item), (_, below) in zip(reversed(pairs), reversed(node.entries), strict=True):
            waiting.append((item, below, depth + 1, name))
    return top


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def search(node: Node, path: str) -> Iterator[Node]:
    """Yield the nodes at a path such as `groups.*.rules`; `**` stands for any number of keys."""
    steps = 0
    names = path.split(".")
    waiting = [(node, 0)]
    while waiting:
        steps += 1
        if steps > MAX_STEPS:
            return
        current, index = waiting.pop()
        if index == len(names):
            yield current
            continue
        name = names[index]
        if name == "**":
            waiting.append((current, index + 1))
        for key, below in reversed(current.entries):
            # A merge key of YAML adds no level.
            if key == "<<" or name == "**":
                waiting.append((below, index))
            elif name == "*" or (key is not None and _key_regex(name).fullmatch(key)):
                waiting.append((below, index + 1))


@cache
def _key_regex(name: str) -> re.Pattern[str]:
    """Return the regular expression of a name in a path, where `*` is any text."""
    return re.compile(".*".join(map(re.escape, name.split("*"))), re.IGNORECASE | re.DOTALL)


def walk(node: Node) -> Iterator[tuple[str | None, Node]]:
    """Yield every entry at any depth, in the order of the file."""
    steps = 0
    waiting = list(reversed(node.entries))
    while waiting and steps < MAX_STEPS:
        steps += 1
        key, below = waiting.pop()
        yield key, below
        waiting.extend(reversed(below.entries))
