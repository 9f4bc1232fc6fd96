"""The rung that follows from the findings, and what the next rung needs."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean

from rung.check.review.findings import Finding
from rung.levels.ladder import BLOCKS, EFFORTS, MINIMUM_SCORE, TIERS, Capability, Level

SECTIONS = ("Data", "Model", "Infra", "Monitor")  # of the ML Test Score
BANDS = (  # highest score of each band, and its meaning in the paper, shortened
    (0, "research rather than production"),
    (1, "not totally untested, but serious holes are possible"),
    (2, "a first pass at production"),
    (3, "reasonably tested"),
    (5, "fit for mission-critical use"),
    (28, "exceptional"),
)


@dataclass(frozen=True)
class Blocker:
    """A capability that keeps a repository from the next rung, and the change that brings it.

    It is a must-have if no other can stand in for it.
    """

    finding: Finding
    reason: str
    must_have: bool = False
    change: str = ""

    @property
    def brings(self) -> float:
        """The points gained if the capability reaches its highest tier."""
        return max(TIERS[tier] for tier in self.finding.capability.evidence) - self.finding.points


@dataclass(frozen=True)
class Rating:
    """The rung of a repository in a game."""

    level: int
    averages: Sequence[float]  # points per required capability, by rung
    # Points per required capability over all rungs, and their number, by block.
    profile: Mapping[str, tuple[float, int]]
    # Points, and the number of tests that files can show, by section of the ML Test Score.
    score: Mapping[str, tuple[float, int]]
    # Capabilities that the next rung needs: what it must have, then the others by effort; each
    # after what it depends on.
    blockers: Sequence[Blocker]
    # Keystones and points (summed over its capabilities) that the next rung lacks.
    missing: tuple[int, float] = (0, 0.0)

    @property
    def final_score(self) -> float:
        """The ML Test Score: the lowest score of a section."""
        return min(points for points, _ in self.score.values())

    @property
    def band(self) -> str:
        """The meaning of the score, in the words of its authors, shortened."""
        return next(meaning for highest, meaning in BANDS if self.final_score <= highest)


def rate(
    levels: Sequence[Level],
    findings: Mapping[str, Finding],
    game: str,
    ml: bool,
    change: Callable[[Capability], str] = lambda capability: capability.fix,
) -> Rating:
    """Judge the findings by the rule of levels/README.md; without machine learning the rung is 0."""
    averages = [_average(_required(findings, game, rung.level)) for rung in levels]
    level = 0
    for rung in levels:
        groups = _groups(rung, game)
        if not groups:
            continue  # the lowest rung has no keystones: every repository is on it
        missing = [group for group in groups if not _met(group, findings)]
        if missing or averages[rung.level] < MINIMUM_SCORE or not ml:
            break
        level = rung.level
    above = levels[min(level + 1, len(levels) - 1)]
    has_next = above.level > level and ml
    blockers = _blockers(above, findings, game, averages) if has_next else []
    return Rating(
        level,
        averages,
        _profile(findings, game),
        _score(findings),
        [replace(blocker, change=change(blocker.finding.capability)) for blocker in blockers],
        _missing(above, findings, game) if has_next else (0, 0.0),
    )


def _required(findings: Mapping[str, Finding], game: str, level: int) -> list[Finding]:
    return [finding for finding in findings.values() if finding.rung(game) == level]


def _missing(rung: Level, findings: Mapping[str, Finding], game: str) -> tuple[int, float]:
    keystones = sum(not _met(group, findings) for group in _groups(rung, game))
    counted = _counted(_required(findings, game, rung.level))
    needed = MINIMUM_SCORE * len(counted)
    return keystones, max(0.0, needed - sum(finding.points for finding in counted))


def _average(findings: Sequence[Finding]) -> float:
    points = [finding.points for finding in _counted(findings)]
    return mean(points) if points else 1.0


def _counted(findings: Sequence[Finding]) -> list[Finding]:
    # A waived capability that is in use still counts: a waiver must never cost a rung.
    return [
        finding for finding in findings if not finding.waived or finding.points >= TIERS["used"]
    ]


def _groups(rung: Level, game: str) -> list[tuple[str, ...]]:
    return [*rung.keystones.get("both", ()), *rung.keystones.get(game, ())]


def _met(group: Sequence[str], findings: Mapping[str, Finding]) -> bool:
    return any(findings[name].holds for name in group)


def _blockers(
    rung: Level, findings: Mapping[str, Finding], game: str, averages: Sequence[float]
) -> list[Blocker]:
    blockers: dict[str, Blocker] = {}
    for group in _groups(rung, game):
        if not _met(group, findings):
            # The one of which most is there, or which takes the least effort.
            name = min(group, key=lambda name: (-findings[name].points, _effort(findings[name])))
            others = [f"`{other}`" for other in group if other != name]
            reason = f"rung {rung.level} must have it"
            reason += f", or {' or '.join(others)}" if others else ""
            blockers[name] = Blocker(findings[name], reason, must_have=True)
    waiting = [blocker.finding for blocker in blockers.values()]
    while waiting:  # what these depend on, also of lower rungs
        dependent = waiting.pop()
        for name in dependent.capability.needs:
            if not findings[name].holds and name not in blockers:
                reason = f"`{dependent.capability.id}` depends on it"
                blockers[name] = Blocker(findings[name], reason, must_have=True)
                waiting.append(findings[name])
    if averages[rung.level] < MINIMUM_SCORE:
        reason = f"rung {rung.level} needs {MINIMUM_SCORE:.2f} points on average"
        rest = [
            Blocker(finding, reason)
            for finding in _required(findings, game, rung.level)
            if not finding.holds and finding.capability.id not in blockers
        ]
        light = [blocker for blocker in rest if _effort(blocker.finding) < EFFORTS.index("a month")]
        at_rung = [
            blocker for blocker in blockers.values() if blocker.finding.rung(game) == rung.level
        ]
        enough = (
            sum(blocker.brings for blocker in (*at_rung, *light))
            >= _missing(rung, findings, game)[1]
        )
        blockers |= {
            blocker.finding.capability.id: blocker for blocker in (light if enough else rest)
        }
    return _in_order(blockers)


def _effort(finding: Finding) -> int:
    return EFFORTS.index(finding.capability.effort)


def _in_order(blockers: Mapping[str, Blocker]) -> list[Blocker]:
    """Return what a rung must have before the rest, by effort, each after what it depends on.

    Of two that take as long, the one that brings more points comes first.
    """
    ordered: dict[str, Blocker] = {}

    def add(name: str) -> None:
        if name in blockers and name not in ordered:
            for need in blockers[name].finding.capability.needs:
                add(need)
            ordered[name] = blockers[name]

    def rank(name: str) -> tuple[bool, int, float]:
        blocker = blockers[name]
        return not blocker.must_have, _effort(blocker.finding), -blocker.brings

    for name in sorted(blockers, key=rank):
        add(name)
    return list(ordered.values())


def _profile(findings: Mapping[str, Finding], game: str) -> dict[str, tuple[float, int]]:
    profile = {}
    for block in BLOCKS:
        required = [
            finding
            for finding in findings.values()
            if finding.capability.block == block and finding.rung(game) is not None
        ]
        if required:
            profile[block] = (_average(required), len(required))
    return profile


def _score(findings: Mapping[str, Finding]) -> dict[str, tuple[float, int]]:
    """Return points and number of tests by section of the ML Test Score.

    A test counts once, with the best capability that names it as its source. `declared` earns
    nothing: the paper gives half a point only for a test that is run.
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
