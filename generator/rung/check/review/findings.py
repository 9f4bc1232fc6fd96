"""Findings: the tier of each capability, and the evidence for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from rung.check.review.evidence import Evidence
from rung.check.review.predicates import Match
from rung.levels.ladder import TIERS, Capability


@dataclass(frozen=True)
class Shown:
    """A match that supports a tier."""

    tier: str
    match: Match


@dataclass(frozen=True)
class Statement:
    """A waiver or attestation of a capability in rung.toml, valid until a day.

    `refused` says why it does not count by the organisation's policy.
    """

    kind: str
    reason: str
    until: date
    link: str = ""
    refused: str = ""


@dataclass(frozen=True)
class Trial:
    """A run of one of the repository's own commands in a copy, with `--prove`.

    The result is `passed`, `failed`, `timed out` or `not run`, for a reason.
    """

    command: str
    result: str
    seconds: float
    tail: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Finding:
    """The highest tier of a capability in a repository, and the evidence for each tier."""

    capability: Capability
    tier: str | None  # the highest tier that holds; None if none does
    # Matches for each tier that holds, the highest tier first.
    shown: Sequence[Shown] = field(default_factory=tuple)
    statement: Statement | None = None  # the team's waiver or attestation
    trials: Sequence[Trial] = ()  # runs that passed or failed and exercise the capability
    # Whether the game may require the capability: it concerns something that the repository has and
    # that the project's answers name, or it is in use anyway.
    applies: bool = True

    def rung(self, game: str) -> int | None:
        """Return the rung that requires the capability in a game; None if none does."""
        return self.capability.rung(game) if self.applies else None

    def for_project(self, answers: Mapping[str, str]) -> "Finding":
        """Return the finding for a project that Rung made with these answers (decision 21)."""
        is_used = self.points >= TIERS["used"]
        applies = is_used or (self.applies and self.capability.is_for(answers))
        return replace(self, applies=applies)

    @property
    def proof(self) -> str:
        """`static` if only files were read, else `proven` or `disproven` by runs (decision 20)."""
        if not self.trials:
            return "static"
        failed = any(trial.result == "failed" for trial in self.trials)
        return "disproven" if failed else "proven"

    @property
    def points(self) -> float:
        """Points of the tier, on the scale of the ML Test Score."""
        return TIERS.get(self.tier or "", 0.0)

    @property
    def holds(self) -> bool:
        """Whether the capability is used, attested or waived."""
        return self.points >= TIERS["used"] or self.waived

    @property
    def waived(self) -> bool:
        """Whether the team waives the capability."""
        statement = self.statement
        return statement is not None and statement.kind == "waiver" and not statement.refused

    def with_statement(self, statement: Statement) -> "Finding":
        """Return the finding with a waiver or attestation; an attestation lifts it to `used`."""
        lifts = statement.kind == "attestation" and not statement.refused
        if lifts and self.points < TIERS["used"]:
            shown = (
                Shown("used", Match("rung.toml", 0, f"{statement.reason} ({statement.link})")),
                *self.shown,
            )
            return replace(self, tier="used", shown=shown, statement=statement)
        return replace(self, statement=statement)


def _weakness(match: Match) -> tuple[bool, bool]:
    return not match.line, match.text.startswith(("import ", "from "))


def find(capability: Capability, evidence: Evidence) -> Finding:
    """Look for the evidence of a capability."""
    predicates = capability.evidence
    used = predicates.get("used")
    tiers: dict[str, list[Match]] = {}
    if "declared" in predicates:
        tiers["declared"] = evidence.holds_anywhere(predicates["declared"])
    tiers["used"] = evidence.holds(used) if used else []
    if used and not tiers["used"]:
        tiers["declared"] = tiers.get("declared") or evidence.holds_anywhere(used)
    if "automated" in predicates and (tiers["used"] or not used):
        tiers["automated"] = evidence.holds(predicates["automated"], used, enforced=True)
    held = [tier for tier in TIERS if tiers.get(tier)]
    # The strongest first: by tier, a line before a file that only exists, a call before an import.
    shown = tuple(
        Shown(tier, match)
        for tier in reversed(held)
        for match in sorted(tiers[tier], key=_weakness)
    )
    applies = capability.applies is None or bool(evidence.holds_anywhere(capability.applies))
    applies = applies or bool(tiers["used"] or tiers.get("automated"))
    return Finding(capability, held[-1] if held else None, shown, applies=applies)
