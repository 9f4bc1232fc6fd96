"""What the autopilot does: its rules, as ops/autopilot.toml has them, and what they make of what it knows."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec

from rung_ops import settings
from rung_ops.errors import SettingsError
from rung_ops.project.paths import policy_file, shown

if TYPE_CHECKING:
    from rung_ops.gate.rules import Threshold

Count = Annotated[int, msgspec.Meta(ge=0)]
Amount = Annotated[float, msgspec.Meta(ge=0)]


def settings_file() -> Path:
    """Return the path of ops/autopilot.toml."""
    return policy_file("autopilot.toml")


class Retrain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Reasons to retrain; 0 or false switches one off.

    `quality_drop` of an error is a share, such as 0.02 for 2 %.
    """

    drifted_features: Count
    prediction_drift: bool
    quality_drop: Annotated[float, msgspec.Meta(ge=0, lt=1)]
    model_age_days: Count
    new_rows: Count


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of training, whatever the reason to train."""

    least_new_rows: Count
    days_between: Count
    most: Count
    per_days: Count


class PauseAfterRefusal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long the autopilot waits after a version was refused, aborted or rolled back."""

    days: Count
    new_rows: Count


class Patience(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long a canary may stay undecided."""

    patience_days: Count


class Rollback(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a promoted release is rolled back; `level` is the confidence level."""

    least_rows: Count
    watch_days: Count
    level: Annotated[float, msgspec.Meta(ge=0.5, lt=1)]
    error_rate: Amount


class Service(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """URL of the service, without a path; empty if its metrics are not read."""

    url: str


class RowChoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether a training chooses the rows that it learns from and that judge it."""

    choose: bool = False


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All rules, by their table in ops/autopilot.toml. The file shows them all.

    Only [window] has a default, as files of earlier versions lack it: nothing is chosen.
    """

    service: Service
    retrain: Retrain
    limits: Limits
    refused: PauseAfterRefusal
    trial: Patience
    rollback: Rollback
    window: RowChoice = RowChoice()


def read_rules(path: Path | None = None) -> Policy:
    """Read the rules; a canary may not be ended before ops/rollout.toml has it promoted."""
    path = settings_file() if path is None else path
    if not path.is_file():
        raise SettingsError(
            f"{shown(path)} is missing, so the autopilot has no rules.",
            f"Restore it with `git checkout -- {shown(path)}`.",
        )
    policy = settings.read(path, Policy)
    _require_patience(path, policy.trial)
    return policy


def _require_patience(path: Path, trial: Patience) -> None:
    # Imported here because it imports polars, and only a file that can be read is compared.
    from rung_ops.release import rollout

    stages = rollout.read_policy() if trial.patience_days else None
    if stages is not None and trial.patience_days < (longest := stages.longest / rollout.DAY):
        raise SettingsError(
            f"{shown(path)}: [trial] patience_days is {trial.patience_days}, but a trial may take "
            f"{longest:.3g} days, all `enough_seconds` of {shown(rollout.rollout_file())} together.",
            f"Set patience_days to at least {math.ceil(longest)}, or shorter stages.",
        )


@dataclass(frozen=True)
class Quality:
    """The metric of the serving release in production, on rows with known outcome."""

    name: str
    higher_is_better: bool
    figure: float
    low: float
    high: float
    at_release: float  # its value on the test rows of the release
    rows: int

    def allowed(self, share: float) -> "Threshold":
        """Return how far below its value at release the metric may be."""
        # Imported here because the gate imports polars, which a refused run need not wait for.
        from rung_ops.gate import rules

        return rules.allowed_loss(share, self.at_release, self.higher_is_better)

    def is_worse(self, share: float) -> bool:
        """Return whether its whole interval is worse than at release by more than allowed."""
        lost = self.at_release - self.high if self.higher_is_better else self.low - self.at_release
        return lost > self.allowed(share).amount


@dataclass(frozen=True)
class OutcomeVerdict:
    """Whether the promoted release is worse than the previous one, or one on trial than it, and why."""

    worse: bool
    says: str


@dataclass(frozen=True)
class Trial:
    """A release in shadow or canary: `arm` says which; `verdict`, by outcomes since then, if any."""

    release: str
    arm: str
    since: datetime
    verdict: OutcomeVerdict | None = None


@dataclass(frozen=True)
class Facts:
    """The facts of a pass."""

    now: datetime  # time of the decision; all times have a time zone
    serving: str | None
    knows_until: datetime | None  # of the newest row when the release was made
    drifted: tuple[str, ...] | None  # names of the features that have drifted; None if unknown
    prediction_drifted: bool | None  # whether the predictions have drifted; None if unknown
    quality: Quality | None
    new_rows: int  # number of labelled rows that no training has used
    trainings: tuple[datetime, ...] = ()
    refused: datetime | None = None  # when a version was last set back
    trial: Trial | None = None
    verdict: OutcomeVerdict | None = None
    set_back: str = "refused"  # what happened then, as a participle


NOTHING = "nothing"
WAIT = "wait"
RETRAIN = "retrain"
ROLL_BACK = "roll back"
END_TRIAL = "end trial"

DAY = timedelta(days=1)
ALL_OFF = "every rule of [retrain] is off"


class Finding(NamedTuple):
    """The result of a rule: whether it applies, and a sentence."""

    applies: bool
    says: str


@dataclass(frozen=True)
class Decision:
    """The action, and all reasons for and against it, the most important first."""

    action: str
    reasons: tuple[str, ...]
    held_back: bool = False  # whether a training that is wanted waits


def decide(facts: Facts, policy: Policy) -> Decision:
    """Apply the rules, most urgent first."""
    if facts.serving is None:
        says = "production serves nothing yet: run `uv run poe deploy production`"
        return Decision(NOTHING, (says,))
    if facts.verdict and facts.verdict.worse:
        return Decision(ROLL_BACK, (facts.verdict.says,))
    if facts.trial:
        return _of_trial(facts, facts.trial, policy)
    kept = (facts.verdict.says,) if facts.verdict else ()
    findings = list(reasons_to_train(facts, policy)) or [Finding(False, ALL_OFF)]
    wanted = tuple(finding.says for finding in findings if finding.applies)
    if not wanted:
        return Decision(NOTHING, tuple(finding.says for finding in findings) + kept)
    against = tuple(finding.says for finding in reasons_to_wait(facts, policy) if finding.applies)
    if against:
        held = tuple(f"held back, as {says}" for says in against)
        return Decision(NOTHING, held + wanted + kept, held_back=True)
    return Decision(RETRAIN, wanted + kept)


def reasons_to_train(facts: Facts, policy: Policy) -> Iterator[Finding]:
    """Apply the rules of [retrain]."""
    rule = policy.retrain
    if rule.drifted_features:
        yield _of_drift(facts, rule.drifted_features)
    if rule.prediction_drift:
        says = {
            None: "it is unknown whether the predictions have drifted",
            True: "the predictions have drifted",
            False: "the predictions have not drifted",
        }
        yield Finding(bool(facts.prediction_drifted), says[facts.prediction_drifted])
    if rule.quality_drop:
        yield _of_quality(facts.quality, rule.quality_drop)
    if rule.model_age_days and facts.knows_until:
        days = (facts.now - facts.knows_until) / DAY
        yield Finding(
            days > rule.model_age_days,
            f"the release was made of data until {facts.knows_until:%Y-%m-%d}, {days:.0f} days "
            f"ago (limit: {rule.model_age_days})",
        )
    if rule.new_rows:
        yield Finding(
            facts.new_rows >= rule.new_rows,
            f"{facts.new_rows:,} labelled rows are new (threshold: {rule.new_rows:,})",
        )


def reasons_to_wait(facts: Facts, policy: Policy) -> Iterator[Finding]:
    """Apply the rules of [limits] and [refused]."""
    rule = policy.limits
    yield Finding(
        facts.new_rows < rule.least_new_rows,
        f"{facts.new_rows:,} labelled rows are new; {rule.least_new_rows:,} are needed",
    )
    if facts.trainings:
        last = max(facts.trainings)
        yield _too_early(facts.now, last, rule.days_between, "the last training was")
    recent = [at for at in facts.trainings if facts.now - at < rule.per_days * DAY]
    if rule.most:
        yield Finding(
            len(recent) >= rule.most,
            f"there were {len(recent)} trainings in the last {rule.per_days} days (limit: "
            f"{rule.most})",
        )
    if facts.refused:
        before, what = policy.refused, f"the last version was {facts.set_back}"
        yield _too_early(facts.now, facts.refused, before.days, what)
        yield Finding(
            facts.new_rows < before.new_rows,
            f"{what}, and {facts.new_rows:,} of {before.new_rows:,} needed labelled rows are new",
        )


def _of_trial(facts: Facts, trial: Trial, policy: Policy) -> Decision:
    days = (facts.now - trial.since) / DAY
    says = f"{trial.release} has been in {trial.arm} since {trial.since:%Y-%m-%d}"
    patience = policy.trial.patience_days
    if trial.verdict and trial.verdict.worse:
        return Decision(END_TRIAL, (trial.verdict.says,))
    if trial.arm == "canary" and patience and days > patience:
        return Decision(
            END_TRIAL, (f"{says}, and too few requests arrive (limit: {patience} days)",)
        )
    known = (trial.verdict.says,) if trial.verdict else ()
    return Decision(WAIT, (f"{says}: the next training waits for its verdict", *known))


def _of_drift(facts: Facts, most: int) -> Finding:
    if facts.drifted is None:
        return Finding(False, "it is unknown whether features have drifted")
    names = f" ({', '.join(facts.drifted)})" if facts.drifted else ""
    count = len(facts.drifted)
    says = f"{count} feature{'s have' if count != 1 else ' has'} drifted{names}"
    return Finding(count >= most, f"{says} (threshold: {most})")


def _of_quality(quality: Quality | None, quality_drop: float) -> Finding:
    if quality is None:
        return Finding(False, "too few outcomes are known to measure the quality in production")
    allowed, worse = quality.allowed(quality_drop), quality.is_worse(quality_drop)
    return Finding(
        worse,
        f"{quality.name} in production is {quality.figure:.4f} ({quality.low:.4f} to "
        f"{quality.high:.4f}, {quality.rows:,} rows) against {quality.at_release:.4f} at release: "
        f"{'worse' if worse else 'not certainly worse'} by more than {allowed}",
    )


def _too_early(now: datetime, last: datetime, days: int, what: str) -> Finding:
    passed = (now - last) / DAY
    return Finding(passed < days, f"{what} {passed:.0f} days ago (minimum: {days})")
