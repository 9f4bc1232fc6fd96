"""From a strategy to capabilities: what to build, block by block, and what not to build yet."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rung.assess.strategy import Block, Scan, Strategy
from rung.levels import TIERS, Capability, Level

THERE = "there"  # the repository has it
BEGINS = "comes with the start"  # a project that starts on that rung has it from its first day
WAIVED = "waived"  # the team said, with a reason, that it is not needed
TO_BUILD = "to build"


@dataclass(frozen=True)
class Item:
    """A capability on the way to the target, the rung that asks for it, and why it is here."""

    capability: Capability
    rung: int
    state: str
    because: tuple[str, ...]


@dataclass(frozen=True)
class Stage:
    """A block of the roadmap: its capabilities up to the target, and those that can wait."""

    block: Block
    items: tuple[Item, ...]
    later: tuple[Item, ...]


@dataclass(frozen=True)
class Beside:
    """Capabilities, one of which a rung rests on though no stage of the roadmap brings any."""

    rung: int
    any_of: tuple[str, ...]


@dataclass(frozen=True)
class NotYet:
    """Something to leave for now, and why."""

    what: str
    because: str


@dataclass(frozen=True)
class Roadmap:
    """What to build and what not to build yet."""

    stages: tuple[Stage, ...]
    beside: tuple[Beside, ...]
    not_yet: tuple[NotYet, ...]


def roadmap(strategy: Strategy, levels: Sequence[Level], scan: Scan | None = None) -> Roadmap:
    """Return the capabilities of each block of the strategy, in its order."""
    stages = tuple(_stage(block, strategy, levels, scan) for block in strategy.order)
    return Roadmap(
        stages,
        tuple(_beside(stages, strategy, levels, scan)),
        tuple(_not_yet(strategy, levels)),
    )


def _stage(block: Block, strategy: Strategy, levels: Sequence[Level], scan: Scan | None) -> Stage:
    items = [
        _item(found, strategy, scan)
        for level in levels
        for found in level.capabilities.values()
        if found.block == block.name and found.rung(strategy.game.played) is not None
    ]
    items.sort(key=lambda item: item.rung)  # within a rung, the order of its file
    reached = strategy.target.level
    return Stage(
        block,
        tuple(item for item in items if item.rung <= reached),
        tuple(item for item in items if item.rung > reached),
    )


def _item(capability: Capability, strategy: Strategy, scan: Scan | None) -> Item:
    rung = _rung(capability, strategy)
    asks = f"{strategy.game.played} asks for it on rung {rung}"
    target = f"the target is rung {strategy.target.level}"
    state, known = _state(capability, rung, strategy, scan)
    return Item(capability, rung, state, (asks, target, known))


def _state(
    capability: Capability, rung: int, strategy: Strategy, scan: Scan | None
) -> tuple[str, str]:
    if scan is not None and capability.id in scan.waived:
        return WAIVED, "rung.toml waives it"
    if scan is not None:
        points = scan.points.get(capability.id, 0.0)
        state = THERE if points >= TIERS["used"] else TO_BUILD
        return state, f"the scan gives it {points:g} of {TIERS['automated']:g}"
    state = BEGINS if rung <= strategy.start.level else TO_BUILD
    return state, f"the start is rung {strategy.start.level}"


def _rung(capability: Capability, strategy: Strategy) -> int:
    rung = capability.rung(strategy.game.played)
    assert rung is not None, "only capabilities of the game that is played are looked at"
    return rung


def _beside(
    stages: Sequence[Stage], strategy: Strategy, levels: Sequence[Level], scan: Scan | None
) -> Iterator[Beside]:
    """Yield what the rungs up to the target rest on and the roadmap does not bring."""
    played = strategy.game.played
    known = {name: found for level in levels for name, found in level.capabilities.items()}
    brought = {item.capability.id for stage in stages for item in stage.items}
    for level in levels[: strategy.target.level + 1]:
        groups = level.keystones.get("both", ())
        if played == "governance":
            groups += level.keystones.get("governance", ())
        for group in groups:
            asked = [known[name] for name in group if known[name].rung(played) is not None]
            states = [_state(each, _rung(each, strategy), strategy, scan)[0] for each in asked]
            names = tuple(each.id for each in asked)
            if not brought.intersection(names) and all(state == TO_BUILD for state in states):
                yield Beside(level.level, names)


def _not_yet(strategy: Strategy, levels: Sequence[Level]) -> Iterator[NotYet]:
    for block in sorted(strategy.left, key=lambda each: -each.priority):
        yield NotYet(f"the block {block.name}", _why_left(block))
    target, star = strategy.target.level, strategy.north.level
    for level in levels[target + 1 :]:
        because = (
            "it is on the way to the north star, beyond what the pace and the team bear in a year"
            if level.level <= star
            else f"it lies above the north star, rung {star}, so nothing you said calls for it"
        )
        yield NotYet(
            f"rung {level.level}, {level.title}", f"{because}; it costs {level.cost.rstrip('.')}"
        )
    if strategy.game.played == "governance":
        yield NotYet(
            "promotion without a person",
            "in the governance game no version replaces another without an approval; "
            "prepare everything automatically, and let someone other than the author decide",
        )


def _why_left(block: Block) -> str:
    return f"{block.because}: worth {block.worth.total:.2f} x gap {block.gap:.2f} ({block.gap_because})"
