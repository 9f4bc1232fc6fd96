"""What each maturity level is: the data of levels/ as frozen objects."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RUNGS = range(5)
GAMES = ("both", "governance", "velocity")
BLOCKS = (
    "foundation",
    "data",
    "experiments",
    "training",
    "serving",
    "observability",
    "features",
    "governance",
)
# After the ML Test Score, which has 0.5 (run by hand, results documented) and 1 (automatic); 0.25 is ours.
TIERS = {"declared": 0.25, "used": 0.5, "automated": 1.0}
STANDING = 0.40  # points a rung needs on average, over its capabilities, to be stood on


@dataclass(frozen=True)
class Claim:
    """A path that a project gets, and the answers it takes besides the rung and the game."""

    path: str
    needs: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Command:
    """What a person can type on a rung, and what it does."""

    run: str
    does: str
    game: str = "both"


@dataclass(frozen=True)
class Ask:
    """What the team has to bring to a rung."""

    ask: str
    game: str = "both"


@dataclass(frozen=True)
class Capability:
    """Something a repository can do; its fields stand in the order of the files' keys."""

    id: str
    level: int
    why: str
    game: str
    block: str
    evidence: Mapping[str, Any]
    fix: str
    effort: str
    source: str
    owns: tuple[Claim, ...] = ()
    uses: tuple[str, ...] = ()
    job: str | None = None
    at: Mapping[str, int] = field(default_factory=dict)
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def rung(self, game: str) -> int | None:
        """Return the rung at which `game` asks for this, or None when it never does."""
        return self.at.get(game, self.level) if self.game in ("both", game) else None

    def is_for(self, answers: Mapping[str, Any]) -> bool:
        """Say whether it is asked of a project that was made with such answers."""
        return not self.where or any(
            answers.get(question) in wanted for question, wanted in self.where.items()
        )


@dataclass(frozen=True)
class Level:
    """A rung of the ladder."""

    level: int
    title: str
    microsoft: str
    google: str
    promise: str
    cost: str
    asks: tuple[Ask, ...]
    stay: str
    commands: tuple[Command, ...]
    owns: tuple[Claim, ...]
    capabilities: Mapping[str, Capability]
    keystones: Mapping[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)


def load(folder: Path) -> tuple[Level, ...]:
    """Read 0.yml to 4.yml of the folder `levels`, lowest rung first.

    Raises:
        RungError: A file is missing or does not say what a level must.
    """
    from rung import level_files  # it makes the classes above, so it cannot come first

    return tuple(level_files.read(folder / f"{number}.yml", number) for number in RUNGS)
