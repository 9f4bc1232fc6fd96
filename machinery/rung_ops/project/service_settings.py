"""What the team set for the service in ops/service.toml: [service], [reasons], [slo] and [log]."""

import os
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from rung_ops import settings
from rung_ops.project.paths import policy_file


def service_file() -> Path:
    """Return the path of ops/service.toml."""
    return policy_file("service.toml")


Positive = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
Whole = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
OtherTime = Literal["refuse", "default"]


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the service takes in and bears; docs/settings.md explains each value."""

    strict: bool = False
    log_format: Literal["text", "json"] = "text"
    workers: Annotated[int, msgspec.Meta(ge=1, le=256)] = 1
    max_body_mb: Positive = 16.0
    max_bodies_mb: Positive = 128.0
    max_connections: Whole = 1_000
    head_seconds: Positive = 10.0
    body_seconds: Positive = 30.0
    max_rows: Whole = 100_000
    max_waiting_rows: Whole = 2_000
    max_wait_ms: Positive = 200.0
    inline_ms: Annotated[float, msgspec.Meta(ge=0, le=1000)] = 2.0
    max_load_seconds: Positive = 30.0
    max_row_ms: Positive = 50.0
    poll_seconds: Positive = 0.25
    drain_seconds: Annotated[float, msgspec.Meta(ge=0, le=600)] = 1.0
    other_time: OtherTime = "refuse"

    @property
    def max_body(self) -> int:
        """Bytes of the largest body."""
        return int(self.max_body_mb * 1_000_000)

    @property
    def max_bodies(self) -> int:
        """Bytes of all bodies that came in part; enough for the largest one."""
        return max(int(self.max_bodies_mb * 1_000_000), self.max_body)


class ReasonSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When predictions are answered with reasons, and with how many; see docs/settings.md."""

    always: bool = False
    count: Annotated[int, msgspec.Meta(ge=1, le=100)] = 4
    max_rows: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100


ANY_SPEED = Limits(max_row_ms=1e9)  # no limit on the time for a row
WHERE_ASKED = ReasonSettings()


def limits() -> Limits:
    """Read [service] of ops/service.toml; what it leaves out has its default."""
    return settings.read(service_file(), Limits, "service")


def reason_settings() -> ReasonSettings:
    """Read [reasons] of ops/service.toml; what it leaves out has its default."""
    return settings.read(service_file(), ReasonSettings, "reasons")


def environment_name() -> str:
    """Name the environment that this process serves: SERVICE_ENVIRONMENT, or production."""
    return os.environ.get("SERVICE_ENVIRONMENT") or "production"


class SLO(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the service promises its callers under the load of `poe load`; see ops/service.toml."""

    p50_ms: Positive = 25.0
    p99_ms: Positive = 100.0
    max_failed: Share = 0.0
    max_refused: Share = 0.0
    min_requests_per_second: Annotated[float, msgspec.Meta(ge=0, le=1e9)] = 0.0


class Logging(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How predictions are logged; ops/service.toml and docs/settings.md explain each value."""

    enabled: bool = True
    seconds: Annotated[float, msgspec.Meta(ge=0.05, le=3600)] = 1.0
    max_waiting_rows: Whole = 200_000
    encrypted: bool = False


def read_slo(path: Path | None = None) -> SLO:
    """Read [slo]; what it leaves out has its default."""
    return settings.read(path or service_file(), SLO, "slo")


def log_settings() -> Logging:
    """Read [log]; what it leaves out has its default."""
    return settings.read(service_file(), Logging, "log")
