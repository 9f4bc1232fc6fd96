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
    """What the service takes in and bears.

    Attributes:
        strict: refuse a row with a field that the contract does not know, instead of passing it
            over.
        max_body_mb: a larger body, in MB, is refused.
        max_bodies_mb: while bodies that came in part take more than this, in MB, the oldest of them
            is refused; while large ones that wait to be decoded do, the next.
        max_connections: with more of them, one that does nothing is closed.
        head_seconds, body_seconds: a request whose headers, or whose body, take longer is ended.
        max_rows: more rows in one request are refused.
        max_waiting_rows: while so many rows wait to be scored, further requests are refused.
        max_wait_ms: a request that would have to wait longer, as estimated, is refused.
        inline_ms: a batch that takes longer, as estimated, is scored in a thread.
        max_load_seconds: a release that takes longer to load is refused.
        max_row_ms: a release that takes longer for one row is refused.
        poll_seconds: how often the service looks for another release.
        other_time: what happens to a row of a forecast that needs entity features of another time
            than that of the feature store.
        drain_seconds: how long it goes on answering after the signal to stop, while it says that
            it is no longer ready.
    """

    strict: bool = False
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
    """When predictions are answered with reasons, and with how many.

    Attributes:
        always: each is, whether the request asks for them or not.
        count: the most of a row.
        max_rows: more rows in one request that gets reasons are refused.
    """

    always: bool = False
    count: Annotated[int, msgspec.Meta(ge=1, le=100)] = 4
    max_rows: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100


ANY_SPEED = Limits(max_row_ms=1e9)  # no limit on the time for a row
WHERE_ASKED = ReasonSettings()


def limits(path: Path | None = None) -> Limits:
    """Read [service] of ops/service.toml; what it leaves out has its default.

    Raises:
        SettingsError: it is not valid TOML, or has an unknown name or a wrong value.
    """
    path = service_file() if path is None else path
    return settings.read(path, Limits, "service")


def reason_settings(path: Path | None = None) -> ReasonSettings:
    """Read [reasons] of ops/service.toml; what it leaves out has its default.

    Raises:
        SettingsError: it is not valid TOML, or has an unknown name or a wrong value.
    """
    path = service_file() if path is None else path
    return settings.read(path, ReasonSettings, "reasons")


def environment_name() -> str:
    """Name the environment that this process serves: SERVICE_ENVIRONMENT, or production."""
    return os.environ.get("SERVICE_ENVIRONMENT") or "production"


class SLO(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the service promises its callers, under the load that `poe load` makes.

    Attributes:
        p50_ms: half of the answers take no longer, in milliseconds.
        p99_ms: 99 in 100 answers take no longer.
        max_failed: share of the requests that may fail.
        max_refused: share of the requests that may be refused because too many wait.
        min_requests_per_second: so many it answers, where as many are asked.
    """

    p50_ms: Positive = 25.0
    p99_ms: Positive = 100.0
    max_failed: Share = 0.0
    max_refused: Share = 0.0
    min_requests_per_second: Annotated[float, msgspec.Meta(ge=0, le=1e9)] = 0.0


class Logging(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How predictions are logged.

    Attributes:
        enabled: whether they are.
        seconds: time between two files; a service that is killed loses the rows of this time.
        max_waiting_rows: rows that may wait in memory; more are dropped, and counted.
        encrypted: nothing is logged, nor served or scored, without a key of LOG_KEYS.
    """

    enabled: bool = True
    seconds: Annotated[float, msgspec.Meta(ge=0.05, le=3600)] = 1.0
    max_waiting_rows: Whole = 200_000
    encrypted: bool = False


def read_slo(path: Path | None = None) -> SLO:
    """Read [slo]; what it leaves out has its default.

    Raises:
        SettingsError: ops/service.toml is not valid TOML, or has an unknown name or a wrong value.
    """
    path = service_file() if path is None else path
    return settings.read(path, SLO, "slo")


def log_settings(path: Path | None = None) -> Logging:
    """Read [log]; what it leaves out has its default.

    Raises:
        SettingsError: ops/service.toml is not valid TOML, or has an unknown name or a wrong value.
    """
    path = service_file() if path is None else path
    return settings.read(path, Logging, "log")
