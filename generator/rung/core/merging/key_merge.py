"""Merge TOML and YAML key by key, where their lines could not be merged."""

import re
import tomllib
from collections.abc import Callable
from pathlib import PurePosixPath

import yaml

from rung.core.merging import toml_blocks, yaml_blocks
from rung.core.merging.blocks import Block, UnmergeableError, merged
from rung.system import plain_yaml


def toml(base: str, ours: str, theirs: str) -> str:
    """Merge three versions of a TOML file; requirements go by name, and the user's bound wins.

    Raises:
        UnmergeableError: Both changed one value.
    """
    return _merge(toml_blocks.blocks, base, ours, theirs)


def yaml_text(base: str, ours: str, theirs: str) -> str:
    """Merge three versions of a YAML file.

    Raises:
        UnmergeableError: Both changed one value.
    """
    return _merge(yaml_blocks.blocks, base, ours, theirs)


def _merge(cut: Callable[[str], Block], base: str, ours: str, theirs: str) -> str:
    before = cut(base) if base.strip() else None
    result = merged(before, cut(ours), cut(theirs))
    text = result.to_text()
    if not parses("x.toml" if cut is toml_blocks.blocks else "x.yml", text):
        raise UnmergeableError("what came out is not of the form")
    if not _keeps_every_token(base, ours, text):
        raise UnmergeableError("something of the user's would be lost")
    # Lines can mean another thing where they stand now: in YAML the column decides.
    if cut(text).meaning() != result.meaning():
        raise UnmergeableError("it would mean something else")
    return text


def kind(path: str) -> Callable[[str, str, str], str] | None:
    """Return how a file is merged by key, going by its name."""
    suffix = PurePosixPath(path).suffix.lower()
    return {".toml": toml, ".yml": yaml_text, ".yaml": yaml_text}.get(suffix)


def parses(path: str, text: str) -> bool:
    """Say whether a TOML or YAML file can be read; True for any other file."""
    suffix = PurePosixPath(path).suffix.lower()
    try:
        if suffix == ".toml":
            tomllib.loads(text)
        elif suffix in (".yml", ".yaml"):
            for document in yaml.compose_all(text, plain_yaml.Loader):
                # CI vendors refuse a duplicate key.
                if plain_yaml.twice(document, besides="<<") is not None:
                    return False
    except (tomllib.TOMLDecodeError, yaml.YAMLError, RecursionError, ValueError):
        return False
    return True


def _keeps_every_token(base: str, ours: str, merged: str) -> bool:
    """Say whether every token of a line that the user added or changed is in the merged text."""
    base_lines = set(base.splitlines())
    there = set(_tokens(merged))
    added = (line for line in ours.splitlines() if line not in base_lines)
    return all(token in there for line in added for token in _tokens(line))


def _tokens(text: str) -> list[str]:
    return re.findall(r"[^\s,\[\](){}\"'=:]+", text)
