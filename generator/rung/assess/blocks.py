"""Which blocks of capabilities to work on, and in which order."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rung.assess.game import Game
from rung.assess.scan import Scan
from rung.assess.shares import DIGITS, Reckoned, Shares
from rung.assess.weights import After
from rung.errors import RungError
from rung.levels.ladder import BLOCKS

FIRST = "foundation"  # the other blocks depend on it


@dataclass(frozen=True)
class Block:
    """A block of capabilities and its value for this team.

    Args:
        name: The block.
        worth: What it is worth.
        gap: How much of it is missing, in [0, 1].
        priority: Worth times gap.
        kept: Whether to work on it.
        because: Why it is kept or left.
        after: The blocks that come before it, and why.
    """

    name: str
    worth: Reckoned
    gap: float
    gap_because: str
    priority: float
    kept: bool
    because: str
    after: tuple[After, ...] = ()


def blocks(shares: Shares, scan: Scan | None) -> tuple[Block, ...]:
    """Return every block with its priority."""
    return tuple(_block(name, shares, scan) for name in shares.weights.worth)


def _block(name: str, shares: Shares, scan: Scan | None) -> Block:
    weights = shares.weights
    worth = shares.sum(weights.worth[name])
    gap, gap_because = _gap(name, shares, scan)
    priority = round(worth.total * gap, DIGITS)
    if name == FIRST and gap < weights.keep.foundation_gap:
        kept = False
        because = f"its gap of {gap:.2f} is below {weights.keep.foundation_gap:.2f}"
    else:
        kept = priority >= weights.keep.priority
        because = f"{priority:.2f} {'reaches' if kept else 'is below'} {weights.keep.priority:.2f}"
    return Block(name, worth, gap, gap_because, priority, kept, because)


def _gap(name: str, shares: Shares, scan: Scan | None) -> tuple[float, str]:
    if scan is not None:
        if name not in scan.coverage:
            return 1.0, "the scan has nothing to look for in it"
        covered = scan.coverage[name]
        return round(1 - covered, DIGITS), f"1 - {covered:.2f}, which the scan found"
    there = shares.sum(shares.weights.there.get(name, ()))
    terms = [
        f"{term.weight:.2f} x {term.share:.2f}, {term.what}: {term.answer}" for term in there.terms
    ]
    return round(max(0.0, 1 - there.total), DIGITS), " - ".join(["1", *terms])


def ordered(all_blocks: Sequence[Block], shares: Shares, game: Game) -> tuple[Block, ...]:
    """Return the kept blocks, first one first.

    Repeatedly the block of highest priority whose prerequisites, among the kept, are done; the
    foundation before all others.

    Raises:
        RungError: The prerequisites wait for each other.
    """
    rest = [_with_prerequisites(block, all_blocks, shares, game) for block in all_blocks]
    rest = [block for block in rest if block.kept]
    rest.sort(key=lambda block: (block.name != FIRST, -block.priority, BLOCKS.index(block.name)))
    done: list[Block] = []
    while rest:
        waiting = {block.name for block in rest}
        ready = [block for block in rest if not waiting.intersection(_needs(block))]
        if not ready:
            names = ", ".join(sorted(waiting))
            raise RungError(f"levels/strategy.yml, after: {names} wait for each other.")
        rest.remove(ready[0])
        done.append(ready[0])
    return tuple(done)


def _needs(block: Block) -> set[str]:
    return {name for rule in block.after for name in rule.needs}


def _with_prerequisites(
    block: Block, all_blocks: Sequence[Block], shares: Shares, game: Game
) -> Block:
    foundation = next(each for each in all_blocks if each.name == FIRST)
    holds = {
        "always": True,
        "online": shares.online,
        "governance": game.played == "governance",
        "weak_ci": foundation.gap >= shares.weights.keep.foundation_gap,
    }
    kept = {each.name for each in all_blocks if each.kept}
    rules = (
        replace(rule, needs=tuple(name for name in rule.needs if name in kept))
        for rule in shares.weights.after
        if rule.block == block.name and holds[rule.where]
    )
    return replace(block, after=tuple(rule for rule in rules if rule.needs))
