"""successful_mlops(use_case, culture, technology, people): which game, which rungs, which order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from msgspec.structs import replace as changed

from rung.assess.weights import DERIVED, PARTS, After, Answers, Bounds, Increment, Term, Weights
from rung.errors import RungError
from rung.levels.ladder import BLOCKS

DIGITS = 9  # sums of thirds and tenths are compared after rounding to this
FOUNDATION = "foundation"  # the block that the others depend on
SERVING, WATCHED = "serving", "observability"


@dataclass(frozen=True)
class Choice:
    """What the user decided against the arithmetic; None where it is followed."""

    game: str | None = None
    start: int | None = None
    target: int | None = None


NO_CHOICE = Choice()


@dataclass(frozen=True)
class Scan:
    """What was measured in a repository, as far as a strategy uses it.

    Args:
        level: Its rung.
        coverage: Of each block, the mean points of its capabilities, in [0, 1].
        points: Of each capability, its tier's points: 0, 0.25, 0.5 or 1.
        waived: Capabilities that the team waived, with a reason, in rung.toml.
        notes: What a reader should also know.
        rung: Whether it is a project of Rung.
    """

    level: int
    coverage: Mapping[str, float]
    points: Mapping[str, float] = field(default_factory=dict)
    waived: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    rung: bool = False


@dataclass(frozen=True)
class WeightedTerm:
    """A weight times the share, in [0, 1], of a question's answer or of a derived value."""

    what: str
    answer: str
    weight: float
    share: float

    @property
    def points(self) -> float:
        """Return what the term adds to its sum."""
        return self.weight * self.share


@dataclass(frozen=True)
class WeightedSum:
    """A sum and its terms."""

    total: float
    terms: tuple[WeightedTerm, ...]


@dataclass(frozen=True)
class Game:
    """A game and the reason for it.

    Args:
        name: governance, velocity or hybrid.
        played: The game a project is made for, governance or velocity.
        score: How far this is the governance game, in [0, 1].
    """

    name: str
    played: str
    score: WeightedSum
    because: str


@dataclass(frozen=True)
class Rung:
    """A rung, and the reasons for it."""

    level: int
    because: tuple[str, ...]

    def unless(self, chosen: int | None) -> "Rung":
        """Return the rung that the user chose, or this one."""
        if chosen is None or chosen == self.level:
            return self
        reasons = "; ".join(self.because)
        return Rung(chosen, (f"you chose it; the answers say rung {self.level}: {reasons}",))


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
    worth: WeightedSum
    gap: float
    gap_because: str
    priority: float
    kept: bool
    because: str
    after: tuple[After, ...] = ()

    @property
    def needs(self) -> set[str]:
        """Return the names of the blocks that come before it."""
        return {name for rule in self.after for name in rule.needs}


@dataclass(frozen=True)
class Strategy:
    """The strategy: game, start, target and order of work.

    Args:
        game: The game, and how far it is governance.
        adoption: How fast new practice is adopted, in [0, 1].
        start: The rung to start on.
        target: The rung for the next twelve months.
        north: The rung beyond which the answers give no reason to climb.
        order: The blocks to work on, in order.
        left: The blocks to leave, each with its reason.
    """

    game: Game
    adoption: WeightedSum
    start: Rung
    target: Rung
    north: Rung
    order: tuple[Block, ...]
    left: tuple[Block, ...]


def from_answers(
    answers: Answers,
    weights: Weights,
    scan: Scan | None = None,
    choice: Choice = NO_CHOICE,
    *,
    measured: bool = False,
) -> Strategy:
    """Sort the answers into the four arguments of `successful_mlops`, and call it."""
    parts = (
        {
            name: answers[name]
            for name, question in weights.questions.items()
            if question.part == part
        }
        for part in PARTS
    )
    return successful_mlops(*parts, weights=weights, scan=scan, choice=choice, measured=measured)


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
        people: Who runs it: customers, business, experience, size.
        weights: The questions and what the answers weigh.
        scan: What was measured in the repository; the start is its rung.
        choice: What the user decided otherwise.
        measured: Whether the scan says what is missing, as technology was not answered.
    """
    shares = Shares(weights, {**use_case, **culture, **technology, **people})
    game = game_of(shares, choice.game)
    blocks = _watched(
        [_block(name, shares, scan if measured else None) for name in weights.worth], shares
    )
    start = _start(shares, scan).unless(choice.start)
    north = _north(shares, game)
    return Strategy(
        game=game,
        adoption=shares.adoption,
        start=start,
        target=_target(shares, start, north).unless(choice.target),
        north=north,
        order=_ordered(blocks, shares, game),
        left=tuple(block for block in blocks if not block.kept),
    )


class Shares:
    """The shares, in [0, 1], of all answers and of what is derived from them."""

    def __init__(self, weights: Weights, answers: Answers) -> None:
        """Weigh the answers; every question has one."""
        self.weights = weights
        self.answers = answers
        self._shares = {}
        for name, question in weights.questions.items():
            self._shares[name] = question.share(answers[name])
        self.governance = self.sum(weights.governance)
        self.adoption = self.sum(weights.adoption)
        governance = self.governance.total
        derived = (governance, self.adoption.total, max(0.0, 1 - 2 * governance), 1.0)
        self._shares |= zip(DERIVED, derived, strict=True)

    def __getitem__(self, name: str) -> float:
        """Return the share of a question's answer or of a derived value."""
        return self._shares[name]

    def sum(self, terms: Sequence[Term]) -> WeightedSum:
        """Return the weighted sum of the terms that count."""
        counted = tuple(
            WeightedTerm(*self._label(term.name), term.weight, self[term.name])
            for term in terms
            if self.reach(term.since)
        )
        return WeightedSum(round(sum(term.points for term in counted), DIGITS), counted)

    def reach(self, bounds: Bounds) -> bool:
        """Return whether every share is at least as large as its bound."""
        return all(self[name] >= bound for name, bound in bounds.items())

    def _label(self, name: str) -> tuple[str, str]:
        if name in self.weights.questions:
            return self.weights.questions[name].short, ", ".join(self.answers[name])
        return DERIVED[name], ""


def game_of(shares: Shares, chosen: str | None) -> Game:
    """Return the game that the answers say, or the one that was chosen."""
    games, score = shares.weights.games, shares.governance
    low, high = games.velocity_up_to, games.governance_from
    if score.total >= high:
        name, bounds = "governance", f"from {high:.2f} on"
    elif score.total <= low:
        name, bounds = "velocity", f"up to {low:.2f}"
    else:
        name, bounds = "hybrid", f"between {low:.2f} and {high:.2f}"
    because = f"harm and domain weigh {score.total:.2f} of 1, and {name} is {bounds}"
    played = name
    if name == "hybrid":
        played = "governance" if score.total >= games.hybrid_from else "velocity"
        because += f"; a project is made for one of the two, here {played}"
    if chosen and chosen != name:
        because = f"you chose it; the answers say {name}: {because}"
        name = played = chosen
    if played == "velocity" and any(d.ask for d in shares.weights.duties_for(shares.answers)):
        played = "governance"
        because += "; a project is made for governance, which brings the records that are owed"
    return Game(name, played, score, because)


def _start(shares: Shares, scan: Scan | None) -> Rung:
    """Return the rung of a scanned repository, else the one that technology allows."""
    if scan is not None:
        return Rung(scan.level, (f"the repository is on rung {scan.level}",))
    rule = shares.weights.start
    mean = sum(shares[name] for name in rule.questions) / len(rule.questions)
    level = round(round(rule.times * mean, DIGITS))
    questions = ", ".join(rule.questions)
    because = [f"{questions} stand at {mean:.0%}, nearest to rung {level}"]
    alone = shares["size"] == 0
    most = rule.at_most_alone if alone else rule.at_most
    if level > most:
        level = most
        because.append(f"at most rung {most} {'for one person' if alone else 'to start on'}")
    if shares["delivery"] == 0:
        level = 0
        because.append("without CI the start is the bottom rung")
    elif level < rule.with_ci:
        level = rule.with_ci
        because.append(f"at least rung {level}, for there is CI")
    return Rung(level, tuple(because))


def _north(shares: Shares, game: Game) -> Rung:
    """Return the rung beyond which the answers give no reason to climb."""
    rule = shares.weights.north
    reasons = _increments(shares, rule.steps)
    level = rule.lowest + len(reasons)
    because = [f"rung {rule.lowest} for every team", *reasons]
    most, least = rule.governance_at_most, rule.duties_at_least
    if game.played == "governance" and level > most:
        level = most
        because.append(f"at most rung {most}: {rule.governance_because}")
    if level < least and any(d.ask for d in shares.weights.duties_for(shares.answers)):
        level = least
        because.append(f"at least rung {least}: {rule.duties_because}")
    if level < rule.online_at_least and shares.reach(rule.online):
        level = rule.online_at_least
        because.append(f"at least rung {level}: {rule.online_because}")
    return Rung(level, tuple(because))


def _target(shares: Shares, start: Rung, north: Rung) -> Rung:
    """Return the rung for the next twelve months: above the start, up to the north star."""
    rule = shares.weights.target
    reasons = _increments(shares, rule.steps)
    level = start.level + rule.above_start + len(reasons)
    because = [f"{rule.above_start} rung above the start", *reasons]
    if level < rule.online_at_least and shares.reach(rule.online):
        level = rule.online_at_least
        because.append(rule.online_because)
    if level > north.level:
        level = north.level
        because.append(f"not above the north star, rung {north.level}")
    if level < start.level:
        level = start.level
        because.append("not below the start")
    return Rung(level, tuple(because))


def _increments(shares: Shares, steps: Sequence[Increment]) -> list[str]:
    """Return the reasons of the increments that hold."""
    return [f"+1: {step.because}" for step in steps if any(map(shares.reach, step.any))]


def _block(name: str, shares: Shares, scan: Scan | None) -> Block:
    keep = shares.weights.keep
    worth = shares.sum(shares.weights.worth[name])
    gap, gap_because = _gap(name, shares, scan)
    priority = round(worth.total * gap, DIGITS)
    if name == FOUNDATION and gap < keep.foundation_gap:
        kept = False
        because = f"the {gap:.0%} of it that is missing is below {keep.foundation_gap:.0%}"
    else:
        kept = priority >= keep.priority
        because = (
            f"its priority, {priority:.2f}, {'reaches' if kept else 'is below'} {keep.priority}"
        )
    return Block(name, worth, gap, gap_because, priority, kept, because)


def _watched(blocks: Sequence[Block], shares: Shares) -> list[Block]:
    """Keep observability wherever an online service is worked on."""
    served = any(block.name == SERVING and block.kept for block in blocks)
    if not (served and shares["timing"] >= shares.weights.online_from):
        return list(blocks)
    because = "what is served online is watched from its first day"
    return [
        replace(block, kept=True, because=because) if block.name == WATCHED else block
        for block in blocks
    ]


def _gap(name: str, shares: Shares, scan: Scan | None) -> tuple[float, str]:
    """Return how much of a block is missing, in [0, 1], and why."""
    if scan is not None:
        if name not in scan.coverage:
            return 1.0, "the scan has nothing to look for in it"
        covered = scan.coverage[name]
        return round(1 - covered, DIGITS), f"the scan found {covered:.0%} of it"
    present = shares.sum(shares.weights.present.get(name, ()))
    terms = [f"{t.what}: {t.answer}, covers {t.points:.0%}" for t in present.terms if t.points]
    because = "; ".join(terms) or "nothing that was answered covers any of it"
    return round(max(0.0, 1 - present.total), DIGITS), because


def _ordered(blocks: Sequence[Block], shares: Shares, game: Game) -> tuple[Block, ...]:
    """Return the kept blocks in the order of work.

    The foundation comes first. Then, repeatedly, the block of highest priority whose prerequisites
    among the kept blocks are done.

    Raises:
        RungError: The prerequisites wait for each other.
    """
    kept = {block.name: block for block in blocks if block.kept}
    foundation = next(block for block in blocks if block.name == FOUNDATION)
    hold = {
        "always": True,
        "online": shares["timing"] >= shares.weights.online_from,
        "governance": game.played == "governance",
        "weak_ci": foundation.gap >= shares.weights.keep.foundation_gap,
    }
    for rule in shares.weights.after:
        needs = tuple(name for name in rule.needs if name in kept)
        if rule.block in kept and needs and hold[rule.where]:
            block = kept[rule.block]
            kept[rule.block] = replace(block, after=(*block.after, changed(rule, needs=needs)))
    waiting = sorted(
        kept.values(),
        key=lambda block: (block.name != FOUNDATION, -block.priority, BLOCKS.index(block.name)),
    )
    done: list[Block] = []
    while waiting:
        names = {block.name for block in waiting}
        ready = next((block for block in waiting if not names & block.needs), None)
        if ready is None:
            listed = ", ".join(sorted(names))
            raise RungError(f"levels/strategy.yml, after: {listed} wait for each other.")
        waiting.remove(ready)
        done.append(ready)
    return tuple(done)
