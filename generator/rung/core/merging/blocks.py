"""A settings file as a tree of blocks, and the merge of three such trees, key by key.

Every block carries its own text with its comments, and the blocks together are the file, byte
for byte. So a merge moves whole lines and never rewrites a value.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

MAPPING, LIST, LEAF = "mapping", "list", "leaf"
TABLE = "table"  # a mapping of TOML: all that follows belongs to it, up to the next one


class UnmergeableError(Exception):
    """Both sides changed one thing, or a file is not of the form; text markers must do."""


@dataclass(frozen=True)
class Block:
    """A key with its value, an element of a list, or a table.

    Args:
        key: What it is called among its siblings.
        lead: The comment and blank lines before it.
        text: Its own text: all of a leaf, the opening of a mapping or a list.
        kind: mapping, table, list or leaf.
        children: The blocks within.
        tail: What closes it.
        inline: Whether the children of a list are on one line, joined by commas.
        yields: Whether the user's version wins where both changed it (a requirement).
        value: What a leaf means, as data; it can be compared and nothing else.
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
        """Return its text without leading comments."""
        if self.inline:
            return self.text + ", ".join(child.body() for child in self.children) + self.tail
        return self.text + "".join(child.to_text() for child in self.children) + self.tail

    def to_text(self) -> str:
        """Return its text."""
        return self.lead + self.body()

    def meaning(self) -> tuple[Any, ...]:
        """Return its meaning without its text: kinds, keys and values, in order.

        Elements of a list go by their values alone, and lists of tables by their index.
        """
        named = self.kind != LIST
        return (
            self.kind,
            self.value if self.kind == LEAF else None,
            [(_bare(child) if named else "", child.meaning()) for child in self.children],
        )

    def moved(self, by: int) -> "Block":
        """Return it some columns further to the right, or with a negative number to the left."""
        return replace(
            self,
            lead=_moved(self.lead, by),
            text=_moved(self.text, by),
            tail=_moved(self.tail, by) if self.children else self.tail,
            children=self.children
            if self.inline
            else tuple(one.moved(by) for one in self.children),
        )


def merged(base: Block | None, ours: Block, theirs: Block) -> Block:
    """Merge two versions of a block.

    Raises:
        UnmergeableError: Both changed the same value.
    """
    lead = _lead(base, ours, theirs)
    if ours.body() == theirs.body() or (base and theirs.body() == base.body()):
        return replace(ours, lead=lead)
    if base and ours.body() == base.body():
        return replace(theirs, lead=lead)
    if ours.yields and theirs.yields:
        return replace(ours, lead=lead)
    if ours.kind != theirs.kind or ours.kind == LEAF or ours.inline != theirs.inline:
        raise UnmergeableError(ours.key)
    if base and base.kind != ours.kind:
        raise UnmergeableError(ours.key)
    text = _chosen(base.text if base else "", ours.text, theirs.text, ours.key)
    tail = _chosen(base.tail if base else "", ours.tail, theirs.tail, ours.key)
    children = _children(base.children if base else (), ours.children, theirs.children)
    return replace(ours, lead=lead, text=text, tail=tail, children=children)


def _children(
    base: tuple[Block, ...], ours: tuple[Block, ...], theirs: tuple[Block, ...]
) -> tuple[Block, ...]:
    """Merge the contents: the user's order, with new keys put where they belong."""
    base_blocks, our_blocks, their_blocks = _by_key(base), _by_key(ours), _by_key(theirs)
    result: list[Block] = []
    owed = ""  # comments of the user's above something that goes
    for block in ours:
        before, after = base_blocks.get(block.key), their_blocks.get(block.key)
        if after is not None:
            block = merged(before, block, after)
        elif before is not None and before.body() == block.body():
            owed += block.lead if block.lead != before.lead else ""
            continue
        elif before is not None and block.kind != LEAF and before.kind == block.kind:
            # Rung retires it and the user has edited it: what is the user's own stays.
            rest = _children(before.children, block.children, ())
            block = replace(block, children=rest) if rest else block
        result.append(replace(block, lead=owed + block.lead))
        owed = ""
    if owed:
        raise UnmergeableError("a comment of yours that leads nowhere")
    for index, block in enumerate(theirs):
        if (
            block.key in our_blocks or block.key in base_blocks
        ):  # theirs as it was; what the user took out stays out
            continue
        _insert(result, block, [earlier.key for earlier in theirs[:index]])
    return tuple(result)


def _insert(result: list[Block], block: Block, earlier: list[str]) -> None:
    positions = {one.key: index for index, one in enumerate(result)}
    known = [positions[key] for key in earlier if key in positions]
    index = known[-1] + 1 if known else 0
    first = next((at for at, one in enumerate(result) if one.kind == TABLE), len(result))
    if result and not block.inline:  # it goes where the user has put those beside it
        dash = not block.body().lstrip(" ").startswith("- ")  # the first key follows one
        block = block.moved(_column(result[0], dash=dash) - _column(block, dash=dash))
    result.insert(max(index, first) if block.kind == TABLE else min(index, first), block)


def _column(block: Block, *, dash: bool) -> int:
    indent = re.match(r" *(- +)*" if dash else " *", block.body())
    return indent.end() if indent else 0


def _moved(text: str, by: int) -> str:
    if by == 0 or '"""' in text or "'''" in text:  # these texts would change
        return text
    lines = text.splitlines(keepends=True)
    return "".join(
        " " * max(0, len(line) - len(line.lstrip(" ")) + by) + line.lstrip(" ")
        if line.strip()
        else line
        for line in lines
    )


def _bare(block: Block) -> str:
    """Return its key, without the index of a table in a list of tables."""
    return re.sub(r"(?<=\]\]) \d+\Z", "", block.key) if block.kind == TABLE else block.key


def _by_key(blocks: Iterable[Block]) -> dict[str, Block]:
    blocks_by_key: dict[str, Block] = {}
    for block in blocks:
        if blocks_by_key.setdefault(block.key, block) is not block:
            raise UnmergeableError(f"{block.key} occurs twice")
    return blocks_by_key


def _lead(base: Block | None, ours: Block, theirs: Block) -> str:
    """Return the comments above a block: Rung's new ones unless the user has changed them."""
    return theirs.lead if base and ours.lead == base.lead else ours.lead


def _chosen(base: str, ours: str, theirs: str, key: str) -> str:
    if ours == theirs or theirs == base:
        return ours
    if ours == base:
        return theirs
    raise UnmergeableError(key)
