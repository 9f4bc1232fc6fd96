"""successful_mlops(use_case, culture, technology, people): which game, which rungs, which order."""

from dataclasses import dataclass

from rung.assess.blocks import Block, blocks, ordered
from rung.assess.game import Game, game
from rung.assess.rungs import Rung, north, start, target
from rung.assess.scan import Scan
from rung.assess.shares import Reckoned, Shares
from rung.assess.weights import PARTS, Answers, Weights

__all__ = [
    "Answers",
    "Block",
    "Choice",
    "Game",
    "Reckoned",
    "Rung",
    "Scan",
    "Strategy",
    "from_answers",
    "successful_mlops",
]


@dataclass(frozen=True)
class Choice:
    """What the person decided against the arithmetic; None if it is followed."""

    game: str | None = None
    start: int | None = None
    target: int | None = None


NO_CHOICE = Choice()


@dataclass(frozen=True)
class Strategy:
    """The strategy: game, start, target and order of work.

    Args:
        game: The game, and how far it is governance.
        adoption: How fast new practice is adopted, in [0, 1].
        start: The rung to start on.
        target: The rung for the next twelve months.
        north: The rung beyond which nothing is gained, as far as the answers say.
        order: The blocks to work on, first one first.
        left: The blocks to leave, each with its reason.
    """

    game: Game
    adoption: Reckoned
    start: Rung
    target: Rung
    north: Rung
    order: tuple[Block, ...]
    left: tuple[Block, ...]


def successful_mlops(
    use_case: Answers,
    culture: Answers,
    technology: Answers,
    people: Answers,
    *,
    weights: Weights,
    scan: Scan | None = None,
    choice: Choice = NO_CHOICE,
    measured: bool = False,
) -> Strategy:
    """Turn answers into a strategy; every question must be answered.

    Args:
        use_case: The game to play: domain, harm, timing, models.
        culture: The pace of adoption: risk, pace, decisions, collaboration.
        technology: The maturity of what MLOps depends on: data, experiments, delivery, compute.
        people: Who runs it: team.
        weights: The questions and what the answers weigh.
        scan: What was measured in the repository; it replaces what the answers say is missing.
        choice: What the person decided otherwise.
        measured: Whether the scan says what is missing, as technology was not answered.
    """
    shares = Shares(weights, {**use_case, **culture, **technology, **people})
    played = game(shares, choice.game)
    all_blocks = blocks(shares, scan if measured else None)
    begun = start(shares, scan, choice.start)
    star = north(shares, played)
    return Strategy(
        game=played,
        adoption=shares.adoption,
        start=begun,
        target=target(shares, begun, star, choice.target),
        north=star,
        order=ordered(all_blocks, shares, played),
        left=tuple(block for block in all_blocks if not block.kept),
    )


def from_answers(
    answers: Answers,
    weights: Weights,
    scan: Scan | None = None,
    choice: Choice = NO_CHOICE,
    *,
    measured: bool = False,
) -> Strategy:
    """Sort the answers into the four arguments of `successful_mlops`, and call it."""
    use_case, culture, technology, people = (
        {name: answers[name] for name, asked in weights.questions.items() if asked.part == part}
        for part in PARTS
    )
    return successful_mlops(
        use_case,
        culture,
        technology,
        people,
        weights=weights,
        scan=scan,
        choice=choice,
        measured=measured,
    )
