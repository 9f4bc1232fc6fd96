"""Three rungs: to start on, to reach within twelve months, and the north star."""

from dataclasses import dataclass

from rung.assess.game import Game
from rung.assess.scan import Scan
from rung.assess.shares import DIGITS, Shares
from rung.assess.weights import Step


@dataclass(frozen=True)
class Rung:
    """A rung, and the reasons for just this one."""

    level: int
    because: tuple[str, ...]


def start(shares: Shares, scan: Scan | None, chosen: int | None) -> Rung:
    """Return the first rung: that of a scanned repository, else the one that technology allows."""
    if scan is not None:
        return _chosen(Rung(scan.level, (f"the repository is on rung {scan.level}",)), chosen)
    rule = shares.weights.start
    mean = sum(shares[name] for name in rule.of) / len(rule.of)
    level = round(round(rule.times * mean, DIGITS))
    of = ", ".join(rule.of)
    because = [f"{rule.times:g} x {mean:.2f}, the mean of {of}, is nearest to rung {level}"]
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
    return _chosen(Rung(level, tuple(because)), chosen)


def north(shares: Shares, game: Game) -> Rung:
    """Return the rung beyond which the answers give no reason to climb."""
    rule = shares.weights.north
    more, because = _steps(shares, rule.steps)
    level = rule.lowest + more
    because.insert(0, f"rung {rule.lowest} for every team")
    most = rule.governance_at_most
    if game.played == "governance" and level > most:
        level = most
        because.append(f"at most rung {most}: {rule.governance_because}")
    least = rule.duties_at_least
    if level < least and shares.weights.owed(shares.answers):
        level = least
        because.append(f"at least rung {least}: {rule.duties_because}")
    return Rung(level, tuple(because))


def target(shares: Shares, begun: Rung, star: Rung, chosen: int | None) -> Rung:
    """Return the rung for the next twelve months: above the start, up to the north star."""
    rule = shares.weights.target
    more, because = _steps(shares, rule.steps)
    level = begun.level + rule.above_start + more
    because.insert(0, f"{rule.above_start} above the start, rung {begun.level}")
    if level > star.level:
        level = star.level
        because.append(f"not above the north star, rung {star.level}")
    if level < begun.level:
        level = begun.level
        because.append("not below the start")
    return _chosen(Rung(level, tuple(because)), chosen)


def _steps(shares: Shares, steps: tuple[Step, ...]) -> tuple[int, list[str]]:
    held = [step for step in steps if any(shares.reached(least) for least in step.any)]
    return len(held), [f"+1: {step.because}" for step in held]


def _chosen(rung: Rung, chosen: int | None) -> Rung:
    if chosen is None or chosen == rung.level:
        return rung
    reasons = "; ".join(rung.because)
    return Rung(chosen, (f"you chose it; the answers say rung {rung.level}: {reasons}",))
