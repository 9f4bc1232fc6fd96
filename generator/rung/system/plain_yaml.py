"""YAML as plain data, read by libyaml where it is built in: the level files take 7 ms, not 140."""

from typing import Any

import yaml

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load(text: str) -> Any:
    """Return what a YAML text says; nothing in it is executed.

    Raises:
        yaml.YAMLError: It is not YAML.
    """
    return yaml.load(text, Loader)


def repeated_key(text: str) -> str | None:
    """Return the first key that a mapping of a YAML text has twice, or None."""
    return duplicate_key(yaml.compose(text, Loader))


def duplicate_key(
    node: Any, besides: str | None = None, visited: set[int] | None = None
) -> str | None:
    """Return the first key that a mapping has twice, or None; PyYAML silently takes the last.

    `besides` may be repeated. `visited` are ids of nodes, as aliases may form a circle.
    """
    visited = set() if visited is None else visited
    if id(node) in visited or not isinstance(node, yaml.MappingNode | yaml.SequenceNode):
        return None
    visited.add(id(node))
    below = node.value
    if isinstance(node, yaml.MappingNode):
        below = [value for _, value in node.value]
        known: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != besides:
                if key.value in known:
                    return str(key.value)
                known.add(key.value)
    duplicates = (duplicate_key(child, besides, visited) for child in below)
    return next((key for key in duplicates if key is not None), None)
