"""The finding of each capability: its tier, and the evidence for it."""

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
    """What the team states of a capability in rung.toml: a waiver, or an attestation.

    Attributes:
        kind: `waiver` or `attestation`.
        reason: why it is not asked for; of an attestation, what is attested.
        link: where an attestation can be looked at.
        until: the last day it holds.
    """

    kind: str
    reason: str
    until: date
    link: str = ""


@dataclass(frozen=True)
class Trial:
    """Something that was run in a copy, on request.

    Attributes:
        command: what was run.
        result: `passed`, `failed`, `timed out` or `not run`.
        seconds: of wall time.
        tail: the last lines of its output.
        reason: why it was not run, or did not end.
    """

    command: str
    result: str
    seconds: float
    tail: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Finding:
    """A capability with its highest tier, or None, and what shows each tier that holds.

    Attributes:
        capability: what was looked for.
        tier: the highest that holds.
        shown: the evidence for each tier.
        statement: what the team states of it.
        trials: runs that passed or failed, and say something of it.
        asked: whether the repository has something of its kind and the project's answers call for
            it, or it is there.
    """

    capability: Capability
    tier: str | None
    shown: Sequence[Shown] = field(default_factory=tuple)
    statement: Statement | None = None
    trials: Sequence[Trial] = ()
    asked: bool = True

    def rung(self, game: str) -> int | None:
        """Return the rung that requires it in a game, or None."""
        return self.capability.rung(game) if self.asked else None

    def of_project(self, answers: Mapping[str, str]) -> "Finding":
        """Return it as it counts in a project that was made with such answers."""
        there = self.points >= TIERS["used"]
        return replace(self, asked=there or (self.asked and self.capability.is_for(answers)))

    @property
    def proof(self) -> str:
        """Say what it rests on: `static`, files alone; or runs, `proven` or `disproven`."""
        if not self.trials:
            return "static"
        failed = any(trial.result == "failed" for trial in self.trials)
        return "disproven" if failed else "proven"

    @property
    def points(self) -> float:
        """Points of the ML Test Score's kind."""
        return TIERS.get(self.tier or "", 0.0)

    @property
    def holds(self) -> bool:
        """Return whether it is used, attested or waived."""
        return self.points >= TIERS["used"] or self.waived

    @property
    def waived(self) -> bool:
        """Return whether the team does without it, for a reason."""
        return self.statement is not None and self.statement.kind == "waiver"

    def with_statement(self, statement: Statement) -> "Finding":
        """Return it with what the team states: an attestation lifts it to `used`."""
        if statement.kind == "attestation" and self.points < TIERS["used"]:
            shown = (
                Shown("used", Match("rung.toml", 0, f"{statement.reason} ({statement.link})")),
                *self.shown,
            )
            return replace(self, tier="used", shown=shown, statement=statement)
        return replace(self, statement=statement)


def find(capability: Capability, evidence: Evidence) -> Finding:
    """Look for the evidence of a capability."""
    stated = capability.evidence
    used = stated.get("used")
    tiers: dict[str, list[Match]] = {}
    if "declared" in stated:
        tiers["declared"] = evidence.holds_anywhere(stated["declared"])
    tiers["used"] = evidence.holds(used) if used else []
    if used and not tiers["used"]:
        tiers["declared"] = tiers.get("declared") or evidence.holds_anywhere(used)
    if "automated" in stated and (tiers["used"] or not used):
        tiers["automated"] = evidence.holds(stated["automated"], used)
    held = [tier for tier in TIERS if tiers.get(tier)]
    # The strongest first: the highest tier, and in it a line before a file by its name.
    shown = tuple(
        Shown(tier, match)
        for tier in reversed(held)
        for match in sorted(tiers[tier], key=lambda match: not match.line)
    )
    applies = capability.applies is None or bool(evidence.holds_anywhere(capability.applies))
    asked = applies or bool(tiers["used"] or tiers.get("automated"))
    return Finding(capability, held[-1] if held else None, shown, asked=asked)
