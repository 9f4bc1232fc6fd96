"""Cut YAML into blocks: keys, and the elements of lists that have a name or are plain texts."""

from collections.abc import Sequence
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from rung.core.merging.blocks import LIST, MAPPING, Block, UnmergeableError

# What tells the elements of a list of mappings apart, at CI vendors and in pre-commit.
NAMES = ("id", "name", "repo", "key", "job", "stage", "template", "local", "task", "script", "uses")


def blocks(text: str) -> Block:
    """Return a YAML file as blocks.

    Raises:
        UnmergeableError: It is not YAML, has several documents, or uses anchors.
    """
    if not text.endswith("\n"):
        text += "\n"
    try:
        events = list(yaml.parse(text, yaml.SafeLoader))
        root = yaml.compose(text, yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise UnmergeableError(str(error)) from error
    if any(getattr(event, "anchor", None) for event in events) or root is None:
        raise UnmergeableError("anchors cannot be merged by key")
    if getattr(root, "flow_style", True):
        raise UnmergeableError("it is one value")
    lines = text.splitlines(keepends=True)
    first = root.start_mark.line
    top = "".join(lines[:first])
    head = max(
        (at + 1 for at, line in enumerate(lines[:first]) if line.startswith("---")), default=0
    )
    children, end = _children(root, lines, head)
    document = Block("", "", "".join(lines[:head]), _kind(root), children, "".join(lines[end:]))
    if document.to_text() != text or (head and not top):
        raise UnmergeableError("the file could not be taken apart")
    return document


def _kind(node: Node) -> str:
    return MAPPING if isinstance(node, MappingNode) else LIST


def _children(node: Node, lines: Sequence[str], at: int) -> tuple[tuple[Block, ...], int]:
    """Return the blocks of a mapping or a list that begin at a line, and the line they end at."""
    made = []
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                raise UnmergeableError("a key that is not text")
            made.append(_entry(str(key.value), key, value, lines, at))
            at = _end(value, key.start_mark.line)
    elif isinstance(node, SequenceNode):
        names = _names(node)
        for name, item in zip(names, node.value, strict=True):
            made.append(_entry(name, item, item, lines, at))
            at = _end(item, item.start_mark.line)
    return tuple(made), at


def _entry(name: str, start: Node, value: Node, lines: Sequence[str], at: int) -> Block:
    first, end = start.start_mark.line, _end(value, start.start_mark.line)
    if first < at:
        raise UnmergeableError("two on one line")
    lead = "".join(lines[at:first])
    inner = value if not getattr(value, "flow_style", True) and value.value else None
    if inner is None or (inner is start and isinstance(inner, SequenceNode)):
        return Block(name, lead, "".join(lines[first:end]), value=_value(value))
    begins = inner.start_mark.line
    if inner is start:  # a mapping in a list: its first key is beside the dash
        children, _ = _children(inner, lines, first)
        return Block(name, lead, "", MAPPING, children)
    if begins == first:
        return Block(name, lead, "".join(lines[first:end]), value=_value(value))
    try:
        children, _ = _children(inner, lines, first + 1)
    except UnmergeableError:
        return Block(name, lead, "".join(lines[first:end]), value=_value(value))
    return Block(name, lead, lines[first], _kind(inner), children)


def _value(node: Node) -> Any:
    """Return the meaning of a node, independent of its style."""
    if isinstance(node, ScalarNode):
        return node.tag, node.value
    if isinstance(node, MappingNode):
        return node.tag, [(_value(key), _value(value)) for key, value in node.value]
    return node.tag, [_value(item) for item in node.value]


def _end(node: Node, at: int) -> int:
    """Return the line after a value, the comments and blank lines behind it left out."""
    if getattr(node, "flow_style", True) or not node.value:
        literal = isinstance(node, ScalarNode) and node.style in ("|", ">")
        mark = node.end_mark
        return max(at + 1, mark.line + (0 if literal and mark.column == 0 else 1))
    last = node.value[-1][1] if isinstance(node, MappingNode) else node.value[-1]
    begin = node.value[-1][0] if isinstance(node, MappingNode) else last
    return _end(last, begin.start_mark.line)


def _names(node: SequenceNode) -> list[str]:
    """Name the elements of a list.

    Raises:
        UnmergeableError: They have no names of their own.
    """
    if all(isinstance(item, ScalarNode) for item in node.value):
        names = [str(item.value) for item in node.value]
    else:
        names = [_name(item) for item in node.value]
    if len(set(names)) < len(names):
        raise UnmergeableError("elements of one name")
    return names


def _name(item: Node) -> str:
    if isinstance(item, ScalarNode):
        return str(item.value)
    if isinstance(item, MappingNode):
        plain = {
            str(key.value): str(value.value)
            for key, value in item.value
            if isinstance(key, ScalarNode) and isinstance(value, ScalarNode)
        }
        for key in NAMES:
            if key in plain:
                return f"{key} {plain[key]}"
    raise UnmergeableError("elements without a name")
