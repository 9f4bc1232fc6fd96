"""successful_mlops(use_case, culture, technology, people): which game, which rungs, which order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from rung.assess.weights import DERIVED, PARTS, After, Answers, Bounds, Increment, Term, Weights
from rung.errors import RungError
from rung.levels.ladder import BLOCKS
from rung.levels.ladder import Block as BlockName

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
    """What was measured in a repository, as far as a strategy uses it."""

    level: int
    coverage: Mapping[str, float]  # of each block, the mean points of its capabilities, in [0, 1]
    points: Mapping[str, float] = field(default_factory=dict)  # of each capability, its tier's
    waived: frozenset[str] = frozenset()  # capabilities, by rung.toml
    notes: tuple[str, ...] = ()
    rung: bool = False  # a project of Rung
    governed: bool = False  # such a project of governance
    documents: bool = (
        False  # such a project of governance with the documents of governance on any rung
    )


class WeightedTerm(msgspec.Struct, frozen=True):
    """A weight times the share, in [0, 1], of a question's answer or of a derived value."""

    what: str
    answer: str = msgspec.field(name="said")
    weight: float
    share: float
    points: float


class WeightedSum(msgspec.Struct, frozen=True):
    """A sum and its terms."""

    total: float
    terms: tuple[WeightedTerm, ...]


@dataclass(frozen=True)
class Game:
    """A game and the reason for it."""

    name: str  # governance, velocity or hybrid
    played: str  # the game a project is made for, governance or velocity
    score: WeightedSum  # how far this is governance, in [0, 1]
    because: str


@dataclass(frozen=True)
class Rung:
    """A rung, and the reasons for it."""

    level: int
    because: tuple[str, ...]

    def at_least(self, level: int, because: str) -> "Rung":
        """Return a rung that is not below a level."""
        return self if self.level >= level else Rung(level, (*self.because, because))

    def at_most(self, level: int, because: str) -> "Rung":
        """Return a rung that is not above a level."""
        return self if self.level <= level else Rung(level, (*self.because, because))

    def unless(self, chosen: int | None) -> "Rung":
        """Return the rung that the user chose, or this one."""
        if chosen is None or chosen == self.level:
            return self
        reasons = "; ".join(self.because)
        return Rung(chosen, (f"you chose it; the answers say rung {self.level}: {reasons}",))


@dataclass(frozen=True)
class Block:
    """A block of capabilities and its value for this team."""

    name: str
    worth: WeightedSum
    gap: float  # how much of it is missing, in [0, 1]
    gap_because: str
    priority: float  # worth times gap
    kept: bool  # whether to work on it
    because: str
    after: tuple[After, ...] = ()

    @property
    def needs(self) -> set[str]:
        """Return the names of the blocks that come before it."""
        return {name for rule in self.after for name in rule.needs}


@dataclass(frozen=True)
class Strategy:
    """The strategy: game, rungs and order of work."""

    game: Game
    adoption: WeightedSum  # how fast new practice is adopted, in [0, 1]
    start: Rung
    target: Rung  # for the next twelve months
    north: Rung  # beyond it the answers give no reason to climb
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
    questions = weights.questions.items()
    parts = (
        {name: answers[name] for name, question in questions if question.part == part}
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
        technology: What MLOps depends on: data, experiments, delivery, compute.
        people: Who runs it: customers, business, experience, size.
        weights: The questions and what the answers weigh.
        scan: What was measured in the repository; the start is its rung.
        choice: What the user decided otherwise.
        measured: Whether the scan says what is missing, as technology was not answered.
    """
    shares = Shares(weights, {**use_case, **culture, **technology, **people})
    game = game_of(shares, choice.game)
    start = _start(shares, scan).unless(choice.start)
    north = _north(shares, game)
    target = _target(shares, start, north).unless(choice.target)
    blocks = _watched(
        [_block(name, shares, scan if measured else None, target) for name in weights.worth], shares
    )
    return Strategy(
        game=game,
        adoption=shares.adoption,
        start=start,
        target=target,
        north=north,
        order=_ordered(blocks, shares, game),
        left=tuple(block for block in blocks if not block.kept),
    )


class Shares:
    """The shares, in [0, 1], of all answers and of what is derived from them."""

    def __init__(self, weights: Weights, answers: Answers) -> None:
        self.weights = weights
        self.answers = answers
        self._shares = {name: q.share(answers[name]) for name, q in weights.questions.items()}
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
        counted = tuple(self._weighted(term) for term in terms if self.reach(term.since))
        return WeightedSum(round(sum(term.points for term in counted), DIGITS), counted)

    def _weighted(self, term: Term) -> WeightedTerm:
        question, share = self.weights.questions.get(term.name), self[term.name]
        what = question.short if question else DERIVED[term.name]
        answer = ", ".join(self.answers[term.name]) if question else ""
        return WeightedTerm(what, answer, term.weight, share, term.weight * share)

    def reach(self, bounds: Bounds) -> bool:
        """Return whether every share is at least as large as its bound."""
        return all(self[name] >= bound for name, bound in bounds.items())


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
    if played == "velocity" and _owes_records(shares):
        played = "governance"
        because += "; a project is made for governance, which brings the required records"
    return Game(name, played, score, because)


def _start(shares: Shares, scan: Scan | None) -> Rung:
    """Return the rung of a scanned repository, else the one that technology allows."""
    if scan is not None:
        return Rung(scan.level, (f"the repository is on rung {scan.level}",))
    rule = shares.weights.start
    mean = sum(shares[name] for name in rule.questions) / len(rule.questions)
    level = round(round(rule.times * mean, DIGITS))
    questions = ", ".join(rule.questions)
    rung = Rung(level, (f"{questions} score {mean:.0%}, nearest to rung {level}",))
    alone = shares["size"] == 0
    most = rule.at_most_alone if alone else rule.at_most
    rung = rung.at_most(most, f"at most rung {most} {'for one person' if alone else 'to start on'}")
    if shares["delivery"] == 0:
        return Rung(0, (*rung.because, "without CI the start is the bottom rung"))
    return rung.at_least(rule.with_ci, f"at least rung {rule.with_ci}, as the team has CI")


def _north(shares: Shares, game: Game) -> Rung:
    """Return the rung beyond which the answers give no reason to climb."""
    rule = shares.weights.north
    rung = _climbed(f"rung {rule.lowest} for every team", rule.lowest, rule.steps, shares)
    most, least, online = rule.governance_at_most, rule.duties_at_least, rule.online_at_least
    if game.played == "governance":
        rung = rung.at_most(most, f"at most rung {most}: {rule.governance_because}")
    if _owes_records(shares):
        rung = rung.at_least(least, f"at least rung {least}: {rule.duties_because}")
    if shares.reach(rule.online):
        rung = rung.at_least(online, f"at least rung {online}: {rule.online_because}")
    return rung


def _target(shares: Shares, start: Rung, north: Rung) -> Rung:
    """Return the rung for the next twelve months: above the start, up to the north star."""
    rule = shares.weights.target
    above = rule.above_start
    rung = _climbed(f"{above} rung above the start", start.level + above, rule.steps, shares)
    if shares.reach(rule.online):
        rung = rung.at_least(rule.online_at_least, rule.online_because)
    rung = rung.at_most(north.level, f"not above the north star, rung {north.level}")
    return rung.at_least(start.level, "not below the start")


def _climbed(because: str, level: int, steps: Sequence[Increment], shares: Shares) -> Rung:
    """Return a rung, and above it one for each increment that holds."""
    reasons = [f"+1: {step.because}" for step in steps if any(map(shares.reach, step.any))]
    return Rung(level + len(reasons), (because, *reasons))


def _owes_records(shares: Shares) -> bool:
    return any(duty.ask for duty in shares.weights.duties_for(shares.answers))


def _block(name: BlockName, shares: Shares, scan: Scan | None, target: Rung) -> Block:
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
        if not kept and target.level == 4 and name in keep.rung_4:
            kept, because = True, "rung 4 retrains by itself"
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


def _gap(name: BlockName, shares: Shares, scan: Scan | None) -> tuple[float, str]:
    """Return how much of a block is missing, in [0, 1], and why."""
    if scan is not None:
        if name not in scan.coverage:
            return 1.0, "the scan has nothing to look for in it"
        covered = scan.coverage[name]
        return round(1 - covered, DIGITS), f"the scan found {covered:.0%} of it"
    present = shares.sum(shares.weights.present.get(name, ()))
    terms = [f"{t.what}: {t.answer}, covers {t.points:.0%}" for t in present.terms if t.points]
    because = "; ".join(terms) or "no answer covers any of it"
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
            kept[rule.block] = replace(
                block, after=(*block.after, msgspec.structs.replace(rule, needs=needs))
            )
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
