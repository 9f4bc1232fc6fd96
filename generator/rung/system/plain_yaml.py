"""Read YAML as plain data, with libyaml where it is built in: the level files take 7 ms, not 140."""

from typing import Any

import yaml

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load(text: str) -> Any:
    """Return what a YAML text says; nothing in it is executed.

    Raises:
        yaml.YAMLError: It is not YAML.
    """
    return yaml.load(text, Loader)


def twice(node: Any, besides: str | None = None, visited: set[int] | None = None) -> str | None:
    """Return the first duplicate key in one mapping of what yaml.compose() returned, or None.

    YAML's readers let such a key pass. Aliases are followed once, so that none leads in a circle.

    Args:
        node: Where to look, with all below.
        besides: A key that may stand twice.
        visited: Ids of the nodes that were looked at.
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
    repeated = (twice(each, besides, visited) for each in below)
    return next((key for key in repeated if key is not None), None)
