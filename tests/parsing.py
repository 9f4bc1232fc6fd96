"""How each kind of file in a generated project is parsed."""

import ast
import json
import tomllib
from collections.abc import Callable
from typing import Any

import yaml

from rung.system import plain_yaml


class AnyTag(plain_yaml.Loader):  # type: ignore[misc]
    """YAML with the tags of CI vendors, such as GitLab's !reference."""


AnyTag.add_multi_constructor("!", lambda loader, tag, node: tag)

PARSERS: dict[str, Callable[[str], Any]] = {
    ".py": ast.parse,
    ".toml": tomllib.loads,
    ".json": json.loads,
    ".ipynb": json.loads,
    ".yml": lambda text: list(yaml.load_all(text, AnyTag)),
    ".yaml": lambda text: list(yaml.load_all(text, AnyTag)),
}
