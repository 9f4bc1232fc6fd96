"""What a roadmap is made of: steps and their capabilities, what is beside them, what can wait."""

from dataclasses import dataclass

from rung.assess.strategy import Block
from rung.levels.ladder import Capability

THERE = "there"  # the repository has it
BEGINS = "comes with the start"  # a project that starts on that rung has it from its first day
FILL_IN = "comes with the start, to fill in"
WAIVED = "waived"  # the team said, with a reason, that it is not needed
TO_BUILD = "to build"
TO_DO = (TO_BUILD, FILL_IN)
DONE = (THERE, WAIVED)

BEFORE_USE, ALIGNMENT, STAY = "before use", "alignment", "stay"
DAYS = {"an hour": 1 / 8, "a day": 1.0, "a week": 5.0, "a month": 20.0, "a quarter": 60.0}
QUARTER = 65  # working days
RECORDS = ("docs/", "governance/")  # what a project holds for people to fill in


@dataclass(frozen=True)
class Item:
    """A capability on the way to the target.

    Args:
        capability: The capability.
        rung: The rung that asks for it.
        state: Whether it is there, comes with the start, or is to be built.
        brought: Whether the project of Rung that the advice makes has it by the target.
        records: What a person has to fill in then.
        because: Why it is here.
    """

    capability: Capability
    rung: int
    state: str
    brought: bool
    records: tuple[str, ...]
    because: tuple[str, ...]

    @property
    def with_rung(self) -> str:
        """Return what is left to do where the project is one of Rung."""
        if not self.brought:
            return self.capability.effort
        fill = f"; fill in {', '.join(self.records)}" if self.records else ""
        return f"comes with rung {self.rung}{fill}"


@dataclass(frozen=True)
class Step:
    """A step of the roadmap.

    Args:
        name: The block of capabilities, or what else it is.
        because: Why it is done.
        items: Its capabilities up to the target.
        later: Those that can wait.
        tasks: What to do beside capabilities.
        block: The block and how its priority came about.
        days: What it takes by hand, without a project of Rung, in working days of one person.
        owner: Who answers for it.
        unlocks: What it makes possible.
        quarter: Until which quarter, 1 to 4, it takes by hand.
    """

    name: str
    because: tuple[str, ...]
    items: tuple[Item, ...] = ()
    later: tuple[Item, ...] = ()
    tasks: tuple[str, ...] = ()
    block: Block | None = None
    days: float = 0.0
    owner: str = ""
    unlocks: str = ""
    quarter: int = 1

    @property
    def to_do(self) -> tuple[Item, ...]:
        """Return the capabilities that are to be built or filled in."""
        return tuple(item for item in self.items if item.state in TO_DO)


@dataclass(frozen=True)
class Beside:
    """Capabilities, one of which a rung rests on though no step of the roadmap brings any."""

    rung: int
    any_of: tuple[str, ...]


@dataclass(frozen=True)
class NotYet:
    """What is not advised now, and why."""

    what: str
    because: str


@dataclass(frozen=True)
class Roadmap:
    """The steps in order, what the target needs beside them, and what is not advised yet."""

    steps: tuple[Step, ...]
    beside: tuple[Beside, ...]
    not_yet: tuple[NotYet, ...]
