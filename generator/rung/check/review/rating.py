"""The rung of a repository by the findings, and what the next rung needs."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from rung.check.review.findings import Finding
from rung.levels.ladder import BLOCKS, MINIMUM_SCORE, TIERS, Level

EFFORTS = ("an hour", "a day", "a week", "a month")  # of levels/, least first
SECTIONS = ("Data", "Model", "Infra", "Monitor")  # of the ML Test Score
BANDS = (
    (0, "research rather than production"),
    (1, "not totally untested, but serious holes are possible"),
    (2, "a first pass at production"),
    (3, "reasonably tested"),
    (5, "fit for mission-critical use"),
    (28, "exceptional"),
)


@dataclass(frozen=True)
class Blocker:
    """A capability that keeps a repository from the next rung.

    Attributes:
        finding: what was found of it.
        reason: why it is asked for.
    """

    finding: Finding
    reason: str

    @property
    def brings(self) -> float:
        """The points that it brings where it is done as well as the ladder can see."""
        return max(TIERS[tier] for tier in self.finding.capability.evidence) - self.finding.points


@dataclass(frozen=True)
class Rating:
    """The rung of a repository in a game.

    Attributes:
        level: the rung.
        averages: of each rung, points per capability that the game asks for.
        profile: of each block, the same, over all rungs, and how many capabilities that is.
        score: of each section of the ML Test Score, points and how many of its tests are looked for.
        blockers: what is missing for the next rung, the least effort first.
        missing: of the next rung, keystones, and points over all that it asks for; with both at 0
            nothing is.
    """

    level: int
    averages: Sequence[float]
    profile: Mapping[str, tuple[float, int]]
    score: Mapping[str, tuple[float, int]]
    blockers: Sequence[Blocker]
    missing: tuple[int, float] = (0, 0.0)

    @property
    def final_score(self) -> float:
        """The ML Test Score: the least of its sections."""
        return min(points for points, _ in self.score.values())

    @property
    def band(self) -> str:
        """What that score means, as its authors put it, shortened."""
        return next(meaning for most, meaning in BANDS if self.final_score <= most)


def rate(levels: Sequence[Level], findings: Mapping[str, Finding], game: str, ml: bool) -> Rating:
    """Judge the findings by the rule of levels/README.md.

    Args:
        levels: lowest first.
        findings: by capability.
        game: governance or velocity.
        ml: whether the repository is about machine learning at all; else no rung above 0 holds.
    """
    averages = [_average(_asked(findings, game, rung.level)) for rung in levels]
    level = 0
    for rung in levels:
        groups = _groups(rung, game)
        if not groups:
            continue  # every machine-learning repository is at least there
        missing = [group for group in groups if not _met(group, findings)]
        if missing or averages[rung.level] < MINIMUM_SCORE or not ml:
            break
        level = rung.level
    above = levels[min(level + 1, len(levels) - 1)]
    wanted = [above] if above.level > level and ml else []
    blockers = [blocker for rung in wanted for blocker in _blockers(rung, findings, game, averages)]
    return Rating(
        level,
        averages,
        _profile(findings, game),
        _score(findings),
        sorted(blockers, key=lambda blocker: EFFORTS.index(blocker.finding.capability.effort)),
        _missing(above, findings, game) if wanted else (0, 0.0),
    )


def _asked(findings: Mapping[str, Finding], game: str, level: int) -> list[Finding]:
    return [finding for finding in findings.values() if finding.rung(game) == level]


def _missing(rung: Level, findings: Mapping[str, Finding], game: str) -> tuple[int, float]:
    keystones = sum(not _met(group, findings) for group in _groups(rung, game))
    asked = _counted(_asked(findings, game, rung.level))
    return keystones, max(
        0.0, MINIMUM_SCORE * len(asked) - sum(finding.points for finding in asked)
    )


def _average(findings: Sequence[Finding]) -> float:
    counted = [finding.points for finding in _counted(findings)]
    return mean(counted) if counted else 1.0


def _counted(findings: Sequence[Finding]) -> list[Finding]:
    # What is there counts, waived or not: a waiver must never cost a rung.
    return [
        finding for finding in findings if not finding.waived or finding.points >= TIERS["used"]
    ]


def _groups(rung: Level, game: str) -> list[tuple[str, ...]]:
    more = rung.keystones.get(game, ()) if game == "governance" else ()
    return [*rung.keystones.get("both", ()), *more]


def _met(group: Sequence[str], findings: Mapping[str, Finding]) -> bool:
    return any(findings[name].holds for name in group)


def _blockers(
    rung: Level, findings: Mapping[str, Finding], game: str, averages: Sequence[float]
) -> list[Blocker]:
    blockers: dict[str, Blocker] = {}
    for group in _groups(rung, game):
        if not _met(group, findings):
            for name in group:
                others = [f"`{other}`" for other in group if other != name]
                reason = f"keystone of rung {rung.level}"
                reason += f", or on {' or '.join(others)}" if others else ""
                blockers[name] = Blocker(findings[name], reason)
    average = averages[rung.level]
    if average < MINIMUM_SCORE:
        reason = f"rung {rung.level} scores {average:.2f} on average and needs {MINIMUM_SCORE:.2f}"
        weak = sorted(_asked(findings, game, rung.level), key=lambda finding: finding.points)
        for finding in weak:
            if finding.points < 0.5 and not finding.waived:
                blockers.setdefault(finding.capability.id, Blocker(finding, reason))
    return list(blockers.values())


def _profile(findings: Mapping[str, Finding], game: str) -> dict[str, tuple[float, int]]:
    profile = {}
    for block in BLOCKS:
        asked = [
            finding
            for finding in findings.values()
            if finding.capability.block == block and finding.rung(game) is not None
        ]
        if asked:
            profile[block] = (_average(asked), len(asked))
    return profile


def _score(findings: Mapping[str, Finding]) -> dict[str, tuple[float, int]]:
    """Sum the best points of each test that a capability names as its source.

    What is only declared earns nothing there: the paper gives half a point for what is done.
    """
    best: dict[tuple[str, str], float] = {}
    for finding in findings.values():
        source = finding.capability.source.partition("ML Test Score")[2].partition(";")[0]
        for test in re.findall(rf"\b({'|'.join(SECTIONS)}) (\d)", source):
            points = finding.points if finding.points >= 0.5 else 0.0
            best[test] = max(best.get(test, 0.0), points)
    return {
        section: (
            sum(points for (name, _), points in best.items() if name == section),
            sum(name == section for name, _ in best),
        )
        for section in SECTIONS
    }
