"""Cut TOML into blocks: tables, keys, and the elements of lists of texts."""

import itertools
import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from rung.core.merging.blocks import LEAF, LIST, MAPPING, TABLE, Block, UnmergeableError

HEADER = re.compile(r"[ \t]*(\[\[?[^\n]*?\]\]?)[ \t]*(#[^\n]*)?\n?\Z")
KEY = re.compile(
    r"[ \t]*((?:\"[^\"\n]*\"|'[^'\n]*'|[\w-]+)(?:[ \t]*\.[ \t]*(?:\"[^\"\n]*\"|'[^'\n]*'|[\w-]+))*)[ \t]*="
)
STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""|\'\'\'.*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'', re.DOTALL
)


def blocks(text: str) -> Block:
    """Return a TOML file as one mapping of tables, each a mapping of keys.

    Raises:
        UnmergeableError: It is not TOML.
    """
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UnmergeableError(str(error)) from error
    if text and not text.endswith("\n"):
        text += "\n"
    tables: list[tuple[str, str, str, list[Block]]] = [("", "", "", [])]
    lead, counts = "", dict[str, int]()
    for statement in _statements(text):
        bare = statement.strip()
        if not bare or bare.startswith("#"):
            lead += statement
        elif header := HEADER.match(statement):
            name = header.group(1)
            if name.startswith("[["):  # an element of a list of tables goes by its index
                counts[name] = counts.get(name, 0) + 1
                name = f"{name} {counts[name]}"
            tables.append((name, lead, statement, []))
            lead = ""
        else:
            name, _, _, keys = tables[-1]
            keys.append(_entry(name, lead, statement))
            lead = ""
    (_, _, _, keys), *rest = tables
    children = [*keys, *(Block(name, up, top, TABLE, tuple(of)) for name, up, top, of in rest)]
    document = Block("", "", "", MAPPING, tuple(children), lead)
    if document.to_text() != text:
        raise UnmergeableError("the file could not be taken apart")
    return document


def _statements(text: str) -> Iterator[str]:
    """Yield each line, or as many lines as a value takes."""
    start = at = depth = 0
    while at < len(text):
        sign = text[at]
        if sign in "\"'" and (string := STRING.match(text, at)):
            at = string.end()
            continue
        if sign == "#":
            at = text.index("\n", at)
            continue
        # a table's header has brackets, too, but they close on their line
        depth += (sign in "[{") - (sign in "]}")
        at += 1
        if sign == "\n" and depth == 0:
            yield text[start:at]
            start = at
    if start < len(text):
        yield text[start:]


def _entry(table: str, lead: str, statement: str) -> Block:
    match = KEY.match(statement)
    if not match:
        raise UnmergeableError(statement)
    key = match.group(1)
    value: Any = tomllib.loads(statement)
    for _ in re.findall(r"\"[^\"]*\"|'[^']*'|[\w-]+", key):
        value = next(iter(value.values()))
    of_texts = isinstance(value, list) and value and all(isinstance(one, str) for one in value)
    if not of_texts:
        return Block(key, lead, statement, value=value)
    named = _requirements(value) if _holds_requirements(table, key) else None
    return replace(_list(key, lead, statement, match.end(), named, value), value=value)


def _list(
    key: str, lead: str, statement: str, at: int, named: list[str] | None, values: list[str]
) -> Block:
    opening = statement.index("[", at) + 1
    if "\n" not in statement.rstrip("\n"):
        spans = [match.span() for match in STRING.finditer(statement, opening)][: len(values)]
        between = [statement[end:start] for (_, end), (start, _) in itertools.pairwise(spans)]
        if not spans or any(one != ", " for one in between):
            return Block(key, lead, statement)
        parts = [statement[start:end] for start, end in spans]
        children = _elements(["" for _ in parts], parts, named, values)
        text, tail = statement[: spans[0][0]], statement[spans[-1][1] :]
        return Block(key, lead, text, LIST, children, tail, inline=True)
    first, _, rest = statement.partition("\n")
    if statement[opening : len(first)].strip():
        return Block(key, lead, statement)
    leads, parts, above = [], [], ""
    *lines, last = rest.splitlines(keepends=True)
    for line in lines:
        bare = line.strip()
        if not bare or bare.startswith("#"):
            above += line
            continue
        strings = STRING.findall(bare)
        end = STRING.match(bare)
        if not end or (strings and len(strings) > 1 and "#" not in bare):
            return Block(key, lead, statement)
        after = bare[end.end() :].lstrip()
        if not after.startswith(","):  # the last one may go without; another may come after it
            indent = line[: len(line) - len(line.lstrip())]
            line = f"{indent}{bare[: end.end()]},{bare[end.end() :]}\n"
        leads.append(above)
        parts.append(line)
        above = ""
    if len(parts) != len(values) or not last.strip().startswith("]"):
        return Block(key, lead, statement)
    children = _elements(leads, parts, named, values)
    return Block(key, lead, f"{first}\n", LIST, children, above + last)


def _elements(
    leads: list[str], parts: list[str], named: list[str] | None, values: list[str]
) -> tuple[Block, ...]:
    names = named or values
    counts: dict[str, int] = {}
    made = []
    for lead, part, name, value in zip(leads, parts, names, values, strict=True):
        counts[name] = counts.get(name, 0) + 1
        key = f"{name} {counts[name]}"
        made.append(Block(key, lead, part, LEAF, yields=named is not None, value=value))
    return tuple(made)


def _holds_requirements(table: str, key: str) -> bool:
    inner = table.strip("[] ").replace('"', "")
    return (
        (inner == "project" and key == "dependencies")
        or (inner == "build-system" and key == "requires")
        or inner in ("dependency-groups", "project.optional-dependencies")
    )


def _requirements(values: list[str]) -> list[str] | None:
    try:
        return [
            f"{canonicalize_name(one.name)} {one.marker or ''}" for one in map(Requirement, values)
        ]
    except InvalidRequirement:
        return None
