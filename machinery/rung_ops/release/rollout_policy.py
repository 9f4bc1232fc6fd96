"""How a new release takes over, as the team set it in ops/rollout.toml."""

import tomllib
from pathlib import Path
from typing import Annotated

import msgspec

from rung_ops.errors import SettingsError
from rung_ops.project.paths import policy_file
from rung_ops.project.service_settings import Positive, Share, Whole, read_slo, service_file
from rung_ops.settings import converted


def rollout_file() -> Path:
    """Return the path of ops/rollout.toml."""
    return policy_file("rollout.toml")


Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Step = Annotated[float, msgspec.Meta(gt=0, le=1)]


class ShadowPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[shadow]: when what is in the shadow may answer; ops/rollout.toml says what each value means."""

    share: Share
    min_rows: Whole
    min_seconds: Seconds
    max_seconds: Seconds
    max_failed: Share
    max_changed: Share
    changed_by: Positive
    enough_seconds: Seconds | None = None


class CanaryPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[canary]: when it gets more to answer; ops/rollout.toml says what each value means."""

    steps: Annotated[list[Step], msgspec.Meta(min_length=1, max_length=20)]
    min_requests: Whole
    min_seconds: Seconds
    max_seconds: Seconds
    max_bad_increase: Share
    max_latency_ratio: Annotated[float, msgspec.Meta(ge=1)]
    max_drift: Share
    enough_seconds: Seconds | None = None

    @property
    def shares(self) -> list[float]:
        """Shares of the steps at which the canary is compared: those below 1."""
        return [step for step in self.steps if step < 1]


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a release takes over.

    Attributes:
        false_abort: chance that an equally good one is rolled back, in total.
        slow: seconds from which an answer is a bad one.
    """

    false_abort: Annotated[float, msgspec.Meta(gt=0, lt=1)]
    shadow: ShadowPolicy
    canary: CanaryPolicy
    slow: Positive = 1.0


def policy(path: Path | None = None, service: Path | None = None) -> Policy | None:
    """Read ops/rollout.toml; None if there is none, and so nothing takes over by itself.

    Raises:
        SettingsError: it is not valid TOML, or has an unknown name or a wrong value.
    """
    path = rollout_file() if path is None else path
    service = service_file() if service is None else service
    if not path.exists():
        return None
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path.name} is not valid TOML: {error}") from error
    slow = read_slo(service).p99_ms / 1000
    read = converted(data | {"slow": slow}, Policy, f"{path.name}:")
    steps = read.canary.steps
    if steps != sorted(set(steps)):
        raise SettingsError(f"{path.name}: steps of [canary] do not rise: {steps}")
    for name, table in (("shadow", read.shadow), ("canary", read.canary)):
        enough = table.enough_seconds
        if enough is not None and not table.min_seconds <= enough <= table.max_seconds:
            wrong = "less than min" if enough < table.min_seconds else "more than max"
            raise SettingsError(
                f"{path.name}: [{name}] enough_seconds is {wrong}_seconds: {enough:g}"
            )
    return read
