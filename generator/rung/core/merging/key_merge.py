"""Merge TOML and YAML key by key, where their lines could not be merged (decision 19, keys).

A settings file is cut into blocks: tables, keys, elements of lists. A block contains its text and
its comments, and all blocks together are the file, byte for byte. So a merge moves whole lines and
never rewrites a value.
"""

import ast
import itertools
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

import yaml
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from rung.system import plain_yaml

NOT_APART = "the file could not be taken apart"
MAPPING, LIST, LEAF = "mapping", "list", "leaf"
TABLE = "table"  # a mapping of TOML: all lines up to the next table belong to it
HEADER = re.compile(r"[ \t]*(\[\[?[^\n]*?\]\]?)[ \t]*(#[^\n]*)?\n?\Z")
KEY = re.compile(
    r"[ \t]*((?:\"[^\"\n]*\"|'[^'\n]*'|[\w-]+)(?:[ \t]*\.[ \t]*(?:\"[^\"\n]*\"|'[^'\n]*'|[\w-]+))*)[ \t]*="
)
STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""|\'\'\'.*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'', re.DOTALL
)
TOKEN = re.compile(r"[^\s,\[\](){}\"'=:]+")
# Keys that identify the elements of a list of mappings, for CI vendors and pre-commit.
NAMES = ("id", "name", "repo", "key", "job", "stage", "template", "local", "task", "script", "uses")


class UnmergeableError(Exception):
    """The files cannot be merged by key: both sides changed a value, or one cannot be cut up."""


@dataclass(frozen=True)
class Block:
    """A key with its value, an element of a list, or a table.

    `lead` is the comment and blank lines before it; `text` all of a leaf, or the first line of the others;
    `inline` a list on a single line. Where both changed a block that `yields`, such as a requirement, the
    user's version wins. `value` only serves comparison.
    """

    key: str
    lead: str
    text: str
    kind: str = LEAF
    children: tuple["Block", ...] = field(default=())
    tail: str = ""
    inline: bool = False
    yields: bool = False
    value: Any = field(default=None, compare=False)

    def body(self) -> str:
        """Return its text without the lead."""
        if self.inline:
            return self.text + ", ".join(child.body() for child in self.children) + self.tail
        return self.text + "".join(child.to_text() for child in self.children) + self.tail

    def to_text(self) -> str:
        """Return its text with the lead."""
        return self.lead + self.body()

    def meaning(self) -> tuple[Any, ...]:
        """Return its kinds, keys and values in order, without its text.

        Elements of a list have no key here, and a table in a list of tables has no index.
        """
        keys = [re.sub(r"(?<=\]\]) \d+\Z", "", child.key) for child in self.children]
        named = keys if self.kind != LIST else [""] * len(keys)
        value = self.value if self.kind == LEAF else None
        below = [child.meaning() for child in self.children]
        return self.kind, value, list(zip(named, below, strict=True))

    def moved(self, by: int) -> "Block":
        """Return it indented by more columns, or by fewer if the number is negative."""
        children, tail = self.children, _moved(self.tail, by) if self.children else self.tail
        if not self.inline:
            children = tuple(child.moved(by) for child in children)
        lead, text = _moved(self.lead, by), _moved(self.text, by)
        return replace(self, lead=lead, text=text, tail=tail, children=children)


def merge(path: str, base: str, ours: str, theirs: str) -> str:
    """Merge three versions of a TOML or YAML file; raise if both changed one value, or it is neither."""
    blocks = {".toml": toml_blocks, ".yml": yaml_blocks, ".yaml": yaml_blocks}.get(_suffix(path))
    if blocks is None:
        raise UnmergeableError(path)
    before = blocks(base) if base.strip() else None
    result = merged(before, blocks(ours), blocks(theirs))
    text = result.to_text()
    if not parses(path, text):
        raise UnmergeableError("what came out is not of the form")
    base_words, our_words, words = (Counter(TOKEN.findall(one)) for one in (base, ours, text))
    if not our_words - base_words <= words:
        raise UnmergeableError("something of the user's would be lost")
    # A line that was indented differently can mean something else in YAML.
    if blocks(text).meaning() != result.meaning():
        raise UnmergeableError("it would mean something else")
    return text


def _suffix(path: str) -> str:
    return PurePosixPath(path).suffix.lower()


def parses(path: str, text: str) -> bool:
    """Say whether a file of Python, TOML or YAML can be read, by its suffix; others always can."""
    suffix = _suffix(path)
    try:
        if suffix == ".py":
            ast.parse(text)
        elif suffix == ".toml":
            tomllib.loads(text)
        elif suffix in (".yml", ".yaml"):
            for document in yaml.compose_all(text, plain_yaml.Loader):
                # A duplicate key is refused by CI vendors.
                if plain_yaml.duplicate_key(document, besides="<<") is not None:
                    return False
    except (SyntaxError, ValueError, yaml.YAMLError, RecursionError, MemoryError):
        return False
    return True


def merged(base: Block | None, ours: Block, theirs: Block) -> Block:
    """Merge two versions of a block."""
    # The comments above it are Rung's, unless the user has changed them.
    lead = theirs.lead if base and ours.lead == base.lead else ours.lead
    if base and ours.body() == base.body():
        return replace(theirs, lead=lead)
    if _same(ours, theirs) or (base and _same(theirs, base)):
        return replace(ours, lead=lead)
    if base and _same(ours, base):
        return replace(theirs, lead=lead)
    if ours.yields and theirs.yields:
        return replace(ours, lead=lead)
    base, theirs = base and _laid_out_as(ours, base), _laid_out_as(ours, theirs)
    if ours.kind != theirs.kind or ours.kind == LEAF or ours.inline != theirs.inline:
        raise UnmergeableError(ours.key)
    if base and base.kind != ours.kind:
        raise UnmergeableError(ours.key)
    text = _chosen(base.text if base else "", ours.text, theirs.text, ours.key)
    tail = _chosen(base.tail if base else "", ours.tail, theirs.tail, ours.key)
    children = _children(base.children if base else (), ours.children, theirs.children)
    return replace(ours, lead=lead, text=text, tail=tail, children=children)


def _same(one: Block, other: Block) -> bool:
    """Say whether two blocks are the same; of a value, spaces and quotes do not count."""
    if one.kind == other.kind == LEAF:
        return repr(one.value) == repr(other.value)
    return one.body() == other.body()


def _laid_out_as(ours: Block, other: Block) -> Block:
    """Return a list of texts on lines, or on one line, as the user's is; one with comments stays."""
    if {ours.kind, other.kind} != {LIST} or ours.inline == other.inline:
        return other
    texts = [child.text.strip().rstrip(",") for child in other.children]
    leads = "".join(child.lead for child in other.children)
    if "#" in leads + other.tail or not all(map(STRING.fullmatch, texts)):
        return other
    indent = " " * _column(ours.children[0], dash=False)
    lines = texts if ours.inline else [f"{indent}{text},\n" for text in texts]
    children = (
        replace(child, lead="", text=line)
        for child, line in zip(other.children, lines, strict=True)
    )
    return replace(ours, lead=other.lead, children=tuple(children))


def _children(
    base: tuple[Block, ...], ours: tuple[Block, ...], theirs: tuple[Block, ...]
) -> tuple[Block, ...]:
    """Merge children in the user's order; Rung's new keys follow their neighbours in Rung's file."""
    base_blocks, our_blocks, their_blocks = _by_key(base), _by_key(ours), _by_key(theirs)
    result: list[Block] = []
    owed = ""  # the user's comments above a removed block, which move to the next block
    for block in ours:
        before, after = base_blocks.get(block.key), their_blocks.get(block.key)
        if after is not None:
            block = merged(before, block, after)
        elif before is not None and _same(before, block):
            owed += block.lead if block.lead != before.lead else ""
            continue
        elif before is not None and block.kind != LEAF and before.kind == block.kind:
            # Rung removes it and the user has edited it: the user's own children stay.
            rest = _children(_laid_out_as(block, before).children, block.children, ())
            block = replace(block, children=rest) if rest else block
        result.append(replace(block, lead=owed + block.lead))
        owed = ""
    if owed:
        raise UnmergeableError("a comment of yours that leads nowhere")
    for index, block in enumerate(theirs):
        if block.key in our_blocks or block.key in base_blocks:
            continue  # merged above, or removed by the user
        _insert(result, block, [earlier.key for earlier in theirs[:index]])
    return tuple(result)


def _insert(result: list[Block], block: Block, earlier: list[str]) -> None:
    positions = {known.key: index for index, known in enumerate(result)}
    before = [positions[key] for key in earlier if key in positions]
    index = before[-1] + 1 if before else 0
    first = next((at for at, known in enumerate(result) if known.kind == TABLE), len(result))
    if result and not block.inline:  # indented as the user's blocks are
        # Of a mapping in a list, the first key follows the dash.
        dash = not block.body().lstrip(" ").startswith("- ")
        block = block.moved(_column(result[0], dash=dash) - _column(block, dash=dash))
    result.insert(max(index, first) if block.kind == TABLE else min(index, first), block)


def _column(block: Block, *, dash: bool) -> int:
    indent = re.match(r" *(- +)*" if dash else " *", block.body())
    return indent.end() if indent else 0


def _moved(text: str, by: int) -> str:
    if by == 0 or '"""' in text or "'''" in text:  # strings of several lines would change
        return text
    return re.sub(r"(?m)^ *(?=.*\S)", lambda indent: " " * max(0, len(indent[0]) + by), text)


def _by_key(blocks: Iterable[Block]) -> dict[str, Block]:
    by_key: dict[str, Block] = {}
    for block in blocks:
        if by_key.setdefault(block.key, block) is not block:
            raise UnmergeableError(f"{block.key} occurs twice")
    return by_key


def _chosen(base: str, ours: str, theirs: str, key: str) -> str:
    if ours == theirs or theirs == base:
        return ours
    if ours == base:
        return theirs
    raise UnmergeableError(key)


def toml_blocks(text: str) -> Block:
    """Return a TOML file as a mapping of tables, which are mappings of keys."""
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UnmergeableError(str(error)) from error
    if text and not text.endswith("\n"):
        text += "\n"
    keys: list[Block] = []  # of the table that is being read
    tables = [("", "", "", keys)]
    lead, counts = "", Counter[str]()
    for statement in _toml_statements(text):
        bare = statement.strip()
        if not bare or bare.startswith("#"):
            lead += statement
            continue
        if header := HEADER.match(statement):
            name, keys = header.group(1), []
            if name.startswith("[["):  # a table in a list of tables is named by its index
                counts[name] += 1
                name = f"{name} {counts[name]}"
            tables.append((name, lead, statement, keys))
        else:
            keys.append(_toml_entry(tables[-1][0], lead, statement))
        lead = ""
    children = list(tables[0][3])
    children += [Block(name, up, top, TABLE, tuple(inner)) for name, up, top, inner in tables[1:]]
    document = Block("", "", "", MAPPING, tuple(children), lead)
    if document.to_text() != text:
        raise UnmergeableError(NOT_APART)
    return document


def _toml_statements(text: str) -> Iterator[str]:
    """Yield the statements of a TOML file: lines, together with those of a longer value."""
    start = at = depth = 0
    while at < len(text):
        sign = text[at]
        if sign in "\"'" and (string := STRING.match(text, at)):
            at = string.end()
            continue
        if sign == "#":
            at = text.index("\n", at)
            continue
        # The brackets of a table's header close on their own line.
        depth += (sign in "[{") - (sign in "]}")
        at += 1
        if sign == "\n" and depth == 0:
            yield text[start:at]
            start = at
    if start < len(text):
        yield text[start:]


def _toml_entry(table: str, lead: str, statement: str) -> Block:
    match = KEY.match(statement)
    if not match:
        raise UnmergeableError(statement)
    key = match.group(1)
    value: Any = tomllib.loads(statement)
    for _ in re.findall(r"\"[^\"]*\"|'[^']*'|[\w-]+", key):
        value = next(iter(value.values()))
    leaf = Block(key, lead, statement, value=value)
    if isinstance(value, list) and value and all(isinstance(text, str) for text in value):
        named = _requirements(value) if _holds_requirements(table, key) else None
        return _toml_list(leaf, statement.index("[", match.end()) + 1, named)
    return leaf


def _toml_list(leaf: Block, opening: int, named: list[str] | None) -> Block:
    """Return a list of texts with its elements as children, or as a leaf if it cannot be cut up."""
    statement, values = leaf.text, leaf.value
    if "\n" not in statement.rstrip("\n"):
        spans = [match.span() for match in STRING.finditer(statement, opening)][: len(values)]
        between = [statement[end:start] for (_, end), (start, _) in itertools.pairwise(spans)]
        if not spans or any(gap != ", " for gap in between):
            return leaf
        parts = [("", statement[start:end]) for start, end in spans]
        text, tail = statement[: spans[0][0]], statement[spans[-1][1] :]
        children = _toml_elements(parts, named, values)
        return replace(leaf, text=text, kind=LIST, children=children, tail=tail, inline=True)
    first, _, rest = statement.partition("\n")
    if statement[opening : len(first)].strip():
        return leaf
    parts, above = [], ""
    *lines, last = rest.splitlines(keepends=True)
    for line in lines:
        bare = line.strip()
        if not bare or bare.startswith("#"):
            above += line
            continue
        end = STRING.match(bare)
        if not end or (len(STRING.findall(bare)) > 1 and "#" not in bare):
            return leaf
        after = bare[end.end() :].lstrip()
        if not after.startswith(","):  # the last element needs no comma, until another one follows
            indent = line[: len(line) - len(line.lstrip())]
            line = f"{indent}{bare[: end.end()]},{bare[end.end() :]}\n"
        parts.append((above, line))
        above = ""
    if len(parts) != len(values) or not last.strip().startswith("]"):
        return leaf
    children = _toml_elements(parts, named, values)
    return replace(leaf, text=f"{first}\n", kind=LIST, children=children, tail=above + last)


def _toml_elements(
    parts: list[tuple[str, str]], named: list[str] | None, values: list[str]
) -> tuple[Block, ...]:
    counts, elements = Counter[str](), []
    for (lead, part), name, value in zip(parts, named or values, values, strict=True):
        counts[name] += 1
        key = f"{name} {counts[name]}"
        elements.append(Block(key, lead, part, yields=named is not None, value=value))
    return tuple(elements)


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
            f"{canonicalize_name(requirement.name)} {requirement.marker or ''}"
            for requirement in map(Requirement, values)
        ]
    except InvalidRequirement:
        return None


def yaml_blocks(text: str) -> Block:
    """Return a YAML file as blocks; raise if it has several documents, or anchors."""
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
    children, end = _yaml_children(root, lines, head)
    document = Block(
        "", "", "".join(lines[:head]), _yaml_kind(root), children, "".join(lines[end:])
    )
    if document.to_text() != text or (head and not top):
        raise UnmergeableError(NOT_APART)
    return document


def _yaml_kind(node: Node) -> str:
    return MAPPING if isinstance(node, MappingNode) else LIST


def _yaml_children(node: Node, lines: Sequence[str], at: int) -> tuple[tuple[Block, ...], int]:
    """Return the blocks of a mapping or a list that begin at a line, and the line they end at."""
    children = []
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                raise UnmergeableError("a key that is not text")
            children.append(_yaml_entry(str(key.value), key, value, lines, at))
            at = _yaml_end(value, key.start_mark.line)
    elif isinstance(node, SequenceNode):
        names = [_yaml_name(item) for item in node.value]
        if len(set(names)) < len(names):
            raise UnmergeableError("elements of one name")
        for name, item in zip(names, node.value, strict=True):
            children.append(_yaml_entry(name, item, item, lines, at))
            at = _yaml_end(item, item.start_mark.line)
    return tuple(children), at


def _yaml_entry(name: str, start: Node, value: Node, lines: Sequence[str], at: int) -> Block:
    first, end = start.start_mark.line, _yaml_end(value, start.start_mark.line)
    if first < at:
        raise UnmergeableError("two on one line")
    lead = "".join(lines[at:first])
    leaf = Block(name, lead, "".join(lines[first:end]), value=_yaml_value(value))
    if getattr(value, "flow_style", True) or not value.value:
        return leaf
    if start is value:  # in a list: the first key of a mapping is on the line of the dash
        if isinstance(value, SequenceNode):
            return leaf
        return Block(name, lead, "", MAPPING, _yaml_children(value, lines, first)[0])
    if value.start_mark.line == first:
        return leaf
    try:
        children, _ = _yaml_children(value, lines, first + 1)
    except UnmergeableError:
        return leaf
    return Block(name, lead, lines[first], _yaml_kind(value), children)


def _yaml_value(node: Node) -> Any:
    """Return the value of a node, independent of its style."""
    if isinstance(node, ScalarNode):
        return node.tag, node.value
    if isinstance(node, MappingNode):
        return node.tag, [(_yaml_value(key), _yaml_value(value)) for key, value in node.value]
    return node.tag, [_yaml_value(item) for item in node.value]


def _yaml_end(node: Node, at: int) -> int:
    """Return the line after a value, without comments and blank lines that follow it."""
    if getattr(node, "flow_style", True) or not node.value:
        literal = isinstance(node, ScalarNode) and node.style in ("|", ">")
        mark = node.end_mark
        return max(at + 1, mark.line + (0 if literal and mark.column == 0 else 1))
    last = node.value[-1][1] if isinstance(node, MappingNode) else node.value[-1]
    begin = node.value[-1][0] if isinstance(node, MappingNode) else last
    return _yaml_end(last, begin.start_mark.line)


def _yaml_name(item: Node) -> str:
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
