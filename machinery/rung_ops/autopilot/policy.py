"""The rules of the autopilot: ops/autopilot.toml."""

import math
from pathlib import Path
from typing import Annotated

import msgspec

from rung_ops import settings
from rung_ops.errors import SettingsError
from rung_ops.project.paths import policy_file, shown

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


def read(path: Path | None = None) -> Policy:
    """Read the rules; a canary may not be ended before ops/rollout.toml has it promoted."""
    path = settings_file() if path is None else path
    if not path.is_file():
        raise SettingsError(
            f"{shown(path)} is missing, so the autopilot has no rules.",
            f"Restore it with `git checkout -- {shown(path)}`.",
        )
    rules = settings.read(path, Policy)
    _require_patience(path, rules.trial)
    return rules


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
