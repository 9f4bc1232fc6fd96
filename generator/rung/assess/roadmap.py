"""Turn a strategy into steps: what to do, in which order, by whom, until when; and what not yet."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rung.assess.steps import (
    ALIGNMENT,
    BEFORE_USE,
    BEGINS,
    DAYS,
    DONE,
    FILL_IN,
    QUARTER,
    RECORDS,
    STAY,
    THERE,
    TO_BUILD,
    WAIVED,
    Beside,
    Item,
    NotYet,
    Roadmap,
    Step,
)
from rung.assess.strategy import Answers, Block, Scan, Strategy
from rung.assess.weights import Tasks, Weights
from rung.levels.ladder import TIERS, Capability, Level


def roadmap(
    strategy: Strategy,
    answers: Answers,
    project: Mapping[str, Any],
    weights: Weights,
    levels: Sequence[Level],
    scan: Scan | None = None,
) -> Roadmap:
    """Return the steps that have something to do, in order; there is always one."""
    planner = _Planner(strategy, answers, project, weights, levels, scan)
    steps, empty = planner.steps()
    return Roadmap(
        steps, tuple(planner.beside(steps)), tuple(_not_yet(strategy, levels, steps, empty))
    )


@dataclass(frozen=True)
class _Planner:
    strategy: Strategy
    answers: Answers
    project: Mapping[str, Any]
    weights: Weights
    levels: Sequence[Level]
    scan: Scan | None

    def steps(self) -> tuple[tuple[Step, ...], list[Block]]:
        """Return the steps, and the blocks of the strategy that have nothing left to do."""
        first = [*self._duties(), *self._tasks(ALIGNMENT, self.weights.alignment)]
        owed = {item.capability.id for step in first for item in step.items}
        blocks = [self._block(block, owed) for block in self.strategy.order]
        done = [step for step in blocks if step.to_do]
        if not done:  # the best of the others that has something to do before the target
            left = sorted(self.strategy.left, key=lambda block: -block.priority)
            done = [step for block in left if (step := self._block(block, owed)).to_do][:1]
        empty = [step.block for step in blocks if step.block and not step.to_do]
        return self._planned([*first, *done] or [*self._tasks(STAY, self.weights.stay)]), empty

    def _duties(self) -> Iterator[Step]:
        known = {
            name: capability
            for level in self.levels
            for name, capability in level.capabilities.items()
        }
        held = self.weights.owed(self.answers)
        names = dict.fromkeys(name for duty in held for name in duty.ask)
        items = tuple(
            self._item(known[name], "owed before use, whatever the rung") for name in names
        )
        step = Step(BEFORE_USE, tuple(duty.because for duty in held), items)
        if step.to_do:
            yield step

    def _tasks(self, name: str, step: Tasks) -> Iterator[Step]:
        if not step.any or any(self.weights.holds(where, self.answers) for where in step.any):
            tasks = tuple(task.format(start=self.strategy.start.level) for task in step.tasks)
            yield Step(name, (step.because,), tasks=tasks, days=DAYS[step.effort])

    def _block(self, block: Block, owed: set[str]) -> Step:
        played, reached = self.strategy.game.played, self.strategy.target.level
        items = [
            self._item(capability, f"the target is rung {reached}")
            for level in self.levels
            for capability in level.capabilities.values()
            if capability.block == block.name
            and capability.rung(played) is not None
            and capability.id not in owed
            if capability.is_for(self.project)
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
        asked = capability.rung(played)
        # A duty of only the other game can still apply; no project of this game has it.
        rung = capability.level if asked is None else asked
        paths = [claim.path for claim in capability.owns if not claim.needs] + list(capability.uses)
        records = tuple(
            path for path in paths if path.startswith(RECORDS) and "schemas" not in path
        )
        state, known = self._state(capability, asked, records)
        lacks = capability.id in self.weights.by_hand
        asks = f"{played} asks for it on rung {rung}"
        if asked is None:
            asks = f"the {played} game does not ask for it, so no project of it has it"
        elif lacks:
            asks += ", and a project of Rung lacks it"
        brought = asked is not None and not lacks and asked <= self.strategy.target.level
        return Item(capability, rung, state, brought, records, (asks, because, known))

    def _state(
        self, capability: Capability, rung: int | None, records: tuple[str, ...]
    ) -> tuple[str, str]:
        scan, start = self.scan, self.strategy.start.level
        if scan is not None and capability.id in scan.waived:
            return WAIVED, "rung.toml waives it"
        if scan is not None:
            points = scan.points.get(capability.id, 0.0)
            state = THERE if points >= TIERS["used"] else TO_BUILD
            return state, f"the scan gives it {points:g} of {TIERS['automated']:g}"
        if rung is None or min(rung, self.weights.early.get(capability.id, rung)) > start:
            return TO_BUILD, f"the start is rung {start}"
        return FILL_IN if records else BEGINS, f"the start is rung {start}"

    def _planned(self, steps: Sequence[Step]) -> tuple[Step, ...]:
        """Add owners, efforts and quarters; a year holds the work, however long by one person."""
        days = [
            step.days
            + sum(DAYS[item.capability.effort] for item in step.items if item.state not in DONE)
            for step in steps
        ]
        quarter = max(QUARTER, sum(days) / 4)
        alone = self.answers["size"] == ("one",)
        return tuple(
            replace(
                step,
                days=days[index],
                owner=self.weights.alone if alone else self.weights.owners[step.name],
                unlocks=self.weights.unlocks[step.name],
                quarter=min(4, 1 + int(sum(days[: index + 1]) / quarter - 1e-9)),
            )
            for index, step in enumerate(steps)
        )

    def beside(self, steps: Sequence[Step]) -> Iterator[Beside]:
        """Yield what the rungs up to the target rest on and the steps do not bring."""
        played = self.strategy.game.played
        known = {
            name: capability
            for level in self.levels
            for name, capability in level.capabilities.items()
        }
        brought = {item.capability.id for step in steps for item in step.items}
        for level in self.levels[: self.strategy.target.level + 1]:
            groups = level.keystones.get("both", ())
            if played == "governance":
                groups += level.keystones.get("governance", ())
            for group in groups:
                asked = [known[name] for name in group if known[name].rung(played) is not None]
                states = [self._state(each, each.rung(played), ())[0] for each in asked]
                names = tuple(each.id for each in asked)
                if not brought.intersection(names) and all(state == TO_BUILD for state in states):
                    yield Beside(level.level, names)


def _not_yet(
    strategy: Strategy, levels: Sequence[Level], steps: Sequence[Step], empty: Sequence[Block]
) -> Iterator[NotYet]:
    for block in empty:
        yield NotYet(f"the block {block.name}", "nothing of it is left to do before the target")
    taken = {step.name for step in steps}
    for block in sorted(strategy.left, key=lambda each: -each.priority):
        if block.name not in taken:
            yield NotYet(f"the block {block.name}", _why_left(block))
    target, star = strategy.target.level, strategy.north.level
    for level in levels[target + 1 :]:
        because = (
            "it is on the way to the north star, beyond what the pace and the team bear in a year"
            if level.level <= star
            else f"it is above the north star, rung {star}, so nothing you said calls for it"
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
