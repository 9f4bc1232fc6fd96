"""Turn a strategy into steps: what to do, in which order, by whom, until when; and what not yet."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import msgspec

from rung.assess.strategy import Block, Scan, Strategy
from rung.assess.weights import After, Answers, Duty, Tasks, Unwanted, Weights
from rung.levels.ladder import TIERS, Capability, Level

# What is known of a capability.
PRESENT = "there"  # the repository has it
BEGINS = "comes with the start"  # a project that starts on that rung has it from its first day
FILL_IN = "comes with the start, to fill in"
WAIVED = "waived"  # the team declared, with a reason, that it is not needed
TO_BUILD = "to build"

BEFORE_USE, ALIGNMENT, STAY = "before use", "alignment", "stay"  # steps that are no block
ONE_PAGER = "use-case-brief"  # the capability that records what was agreed
DAYS = {"an hour": 1 / 8, "a day": 1.0, "a week": 5.0, "a month": 20.0, "a quarter": 60.0}
QUARTER = 65  # working days


def duty_line(duty: Duty, answers: Answers) -> str:
    """Return a duty with its law, article, what classifies the model, who owes it and since when."""
    since = f"from {duty.since}" if duty.since else ""
    law = ", ".join(filter(None, (duty.law, duty.article, since)))
    case = duty.classified(answers)
    return f"{law}: {duty.says}{f' ({case})' if case else ''}; required of {duty.who}"


@dataclass(frozen=True)
class Item:
    """A capability on the way to the target."""

    capability: Capability
    rung: int  # that asks for it
    state: str
    brought: bool  # whether the project that the strategy leads to has it by the target
    records: tuple[str, ...]  # what a person has to fill in then
    because: tuple[str, ...]

    @property
    def days(self) -> float:
        """Return what it still takes by hand, in working days of one person."""
        return 0.0 if self.state in (PRESENT, WAIVED) else DAYS[self.capability.effort]

    @property
    def with_rung(self) -> str:
        """Return what is left to do where the project is made by Rung."""
        if not self.brought and not self.records:
            return self.capability.effort
        fill = f"; fill in {', '.join(self.records)}" if self.records else ""
        if not self.brought:
            return f"its form comes with documents=now{fill}"
        return f"comes with rung {self.rung}{fill}"


@dataclass(frozen=True)
class Step:
    """A step of the roadmap: a block of capabilities, or what else its name says."""

    name: str
    because: tuple[str, ...]
    items: tuple[Item, ...] = ()  # up to the target
    later: tuple[Item, ...] = ()
    tasks: tuple[str, ...] = ()  # what to do besides capabilities
    block: Block | None = None
    days: float = 0.0  # working days of one person, by hand, without a project of Rung
    owner: str = ""
    unlocks: str = ""
    quarter: int = 1  # until which it takes by hand, 1 to 4

    @property
    def to_do(self) -> tuple[Item, ...]:
        """Return the capabilities that are to be built or filled in."""
        return tuple(item for item in self.items if item.state in (TO_BUILD, FILL_IN))


@dataclass(frozen=True)
class Keystone:
    """Capabilities, one of which a rung needs, and none of which a step of the roadmap brings."""

    rung: int
    any_of: tuple[str, ...]


@dataclass(frozen=True)
class NotYet:
    """What is not advised now, and why."""

    what: str
    because: str


@dataclass(frozen=True)
class Roadmap:
    """The steps in order, what the target needs besides, and what is not advised yet."""

    steps: tuple[Step, ...]
    keystones: tuple[Keystone, ...]
    not_yet: tuple[NotYet, ...]


def _after_needs(steps: Sequence[Step]) -> list[Step]:
    """Move what is to be built behind the step that builds what it needs.

    It moves into that step. If nothing else is to be built in its own step, and no step between waits
    for that one, its own step moves.
    """
    ordered = list(steps)
    while True:
        places = {item.capability.id: at for at, step in enumerate(ordered) for item in step.to_do}
        early = (
            (places[need], at, item, need)
            for at, step in enumerate(ordered)
            for item in step.to_do
            for need in item.capability.needs
            if places.get(need, at) > at
        )
        if (found := next(early, None)) is None:
            return ordered
        later, at, item, need = found
        step, other = ordered[at], ordered[later]
        between = (s.block for s in ordered[at + 1 : later] if s.block)
        free = not any(step.name in block.needs for block in between)
        if free and step.to_do == (item,) and step.block and other.block:
            because = f"{item.capability.id} needs {need}"
            rule = {
                "block": step.name,
                "needs": [other.name],
                "where": "always",
                "because": because,
            }
            after = msgspec.convert(rule, After)
            kept = (rule.without(step.name) for rule in other.block.after)
            other = replace(other, block=replace(other.block, after=tuple(filter(None, kept))))
            step = replace(step, block=replace(step.block, after=(*step.block.after, after)))
            ordered[later] = other
            ordered.insert(later, ordered.pop(at))
            ordered[later] = step
        else:
            ordered[at] = replace(step, items=tuple(i for i in step.items if i != item))
            asks, _, reason = item.because
            moved = replace(item, because=(asks, f"it needs {need}", reason))
            items = sorted((*other.items, moved), key=lambda item: item.rung)
            ordered[later] = replace(other, items=tuple(items))


@dataclass(frozen=True)
class Planner:
    """Turns a strategy into a roadmap."""

    strategy: Strategy
    answers: Answers  # those that count
    project: Mapping[str, Any]  # the answers for `rung new`
    weights: Weights
    levels: Sequence[Level]
    scan: Scan | None

    def roadmap(self) -> Roadmap:
        """Return the steps that have something to do, in order; there is always one."""
        steps, empty = self._steps()
        return Roadmap(steps, tuple(self._keystones(steps)), tuple(self._not_yet(steps, empty)))

    @cached_property
    def _known(self) -> dict[str, Capability]:
        return {name: c for level in self.levels for name, c in level.capabilities.items()}

    @cached_property
    def _unwanted(self) -> dict[str, Unwanted]:
        hold, unwanted = self.weights.hold, self.weights.unwanted
        return {name: rule for name, rule in unwanted.items() if hold(rule.where, self.answers)}

    def _steps(self) -> tuple[tuple[Step, ...], list[Block]]:
        """Return the steps, and the blocks of the strategy that have nothing left to do."""
        apart = any(self.weights.hold(where, self.answers) for where in self.weights.apart.any)
        alignment = (self.weights.alignment, *([self.weights.apart] if apart else []))
        first = list(self._duties())
        if apart or self._state(self._known[ONE_PAGER], 0, ())[0] != PRESENT:
            first.append(self._tasks(ALIGNMENT, *alignment))
        owed = {item.capability.id for step in first for item in step.items}
        blocks = [self._block(block, owed) for block in self.strategy.order]
        done = [step for step in _after_needs(blocks) if step.to_do]
        if not done:  # the best of the others that has something to do before the target
            left = sorted(self.strategy.left, key=lambda block: -block.priority)
            done = [step for block in left if (step := self._block(block, owed)).to_do][:1]
        empty = [step.block for step in blocks if step.block and not step.to_do]
        stay = [] if done else [self._tasks(STAY, self.weights.stay)]
        return self._planned([*first, *done, *stay]), empty

    def _duties(self) -> Iterator[Step]:
        duties = self.weights.duties_for(self.answers)
        names = dict.fromkeys(name for duty in duties for name in duty.ask)
        because = "required before use, on any rung"
        items = tuple(self._item(self._known[name], because) for name in names)
        tasks = tuple(dict.fromkeys(duty.task for duty in duties if duty.task))
        reasons = tuple(duty_line(duty, self.answers) for duty in duties)
        step = Step(BEFORE_USE, reasons, items, tasks=tasks, days=DAYS["a day"] * len(tasks))
        if step.to_do or step.tasks:
            yield step

    def _tasks(self, name: str, *steps: Tasks) -> Step:
        start = self.strategy.start.level
        tasks = tuple(task.format(start=start) for step in steps for task in step.tasks)
        days = sum(DAYS[step.effort] for step in steps)
        return Step(name, tuple(step.because for step in steps), tasks=tasks, days=days)

    def _block(self, block: Block, owed: set[str]) -> Step:
        played, reached = self.strategy.game.played, self.strategy.target.level
        items = [
            self._item(capability, f"the target is rung {reached}")
            for capability in self._known.values()
            if capability.block == block.name
            and capability.rung(played) is not None
            and capability.id not in owed
            and capability.id not in self._unwanted
            and capability.is_for(self.project)
        ]
        items.sort(key=lambda item: item.rung)  # within a rung, the order of its file
        return Step(
            block.name,
            (f"priority {block.because}",),
            tuple(item for item in items if item.rung <= reached),
            tuple(item for item in items if item.rung > reached),
            block=block,
        )

    def _item(self, capability: Capability, because: str) -> Item:
        played = self.strategy.game.played
        required = capability.rung(played)
        # A duty of only the other game can still apply; no project of this game has it.
        rung = capability.level if required is None else required
        answers = {"use_case": played, **self.project}
        records = capability.records(answers)
        state, reason = self._state(capability, required, records)
        lacks = not capability.is_brought(answers)
        asks = f"{played} requires it on rung {rung}"
        if required is None:
            asks = f"{played} does not require it, and its projects do not have it"
        elif lacks:
            asks += ", and Rung does not bring it"
        brought = required is not None and not lacks and required <= self.strategy.target.level
        return Item(capability, rung, state, brought, records, (asks, because, reason))

    def _state(
        self, capability: Capability, rung: int | None, records: tuple[str, ...]
    ) -> tuple[str, str]:
        """Return the state of a capability, and how it is known."""
        scan, start = self.scan, self.strategy.start.level
        if scan is not None and capability.id in scan.waived:
            return WAIVED, "rung.toml waives it"
        if scan is not None:
            points = scan.points.get(capability.id, 0.0)
            state = PRESENT if points >= TIERS["used"] else TO_BUILD
            return state, f"the scan gives it {points:g} of {TIERS['automated']:g}"
        if rung is None or min(rung, self.weights.early.get(capability.id, rung)) > start:
            return TO_BUILD, f"the start is rung {start}"
        return FILL_IN if records else BEGINS, f"the start is rung {start}"

    def _planned(self, steps: Sequence[Step]) -> tuple[Step, ...]:
        """Add owners, efforts and quarters; a year holds the work, even if one person takes longer."""
        days = [step.days + sum(item.days for item in step.items) for step in steps]
        quarter = max(QUARTER, sum(days) / 4)
        alone = self.answers["size"] == ("one",)
        return tuple(
            replace(
                step,
                days=days[index],
                owner=self.weights.alone if alone else self.weights.steps[step.name].owner,
                unlocks=self.weights.steps[step.name].unlocks,
                quarter=min(4, 1 + int(sum(days[: index + 1]) / quarter - 1e-9)),
            )
            for index, step in enumerate(steps)
        )

    def _keystones(self, steps: Sequence[Step]) -> Iterator[Keystone]:
        """Yield what the rungs up to the target need and the steps do not bring."""
        played, known = self.strategy.game.played, self._known
        brought = {item.capability.id for step in steps for item in step.items}
        for level in self.levels[: self.strategy.target.level + 1]:
            groups = level.keystones.get("both", ())
            if played == "governance":
                groups += level.keystones.get("governance", ())
            for group in groups:
                members = [known[name] for name in group if known[name].rung(played) is not None]
                states = {self._state(c, c.rung(played), ())[0] for c in members}
                names = tuple(capability.id for capability in members)
                if not brought.intersection(names) and states <= {TO_BUILD}:
                    yield Keystone(level.level, names)

    def _not_yet(self, steps: Sequence[Step], empty: Sequence[Block]) -> Iterator[NotYet]:
        """Yield what is left out: blocks, the rungs above the target, and promotion by itself."""
        strategy = self.strategy
        for block in empty:
            yield NotYet(f"the block {block.name}", "nothing of it is left to do before the target")
        taken = {step.name for step in steps}
        for block in sorted(strategy.left, key=lambda block: -block.priority):
            if block.name not in taken:
                product = f"worth {block.worth.total:.2f}, {block.gap:.0%} of it missing"
                because = f"{block.because}: {product} ({block.gap_because})"
                yield NotYet(f"the block {block.name}", because)
        target, north = strategy.target.level, strategy.north.level
        for level in self.levels[target + 1 :]:
            because = (
                "it leads to the north star, but is more than pace and team allow within a year"
                if level.level <= north
                else f"it is above the north star, rung {north}, so none of your answers requires it"
            )
            costs = f"it costs {level.cost.rstrip('.')}"
            yield NotYet(f"rung {level.level}, {level.title}", f"{because}; {costs}")
        for left_out in self._unwanted.values():
            yield NotYet(left_out.what, left_out.because)
        if strategy.game.played == "governance":
            yield NotYet(
                "promotion without a person",
                "under governance no version replaces another without an approval; "
                "prepare everything automatically, and let someone other than the author decide",
            )
