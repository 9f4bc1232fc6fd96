"""What the team set under [slo] and [log] in ops/service.toml."""

from pathlib import Path
from typing import Annotated

import msgspec

from rung_ops.project.service_settings import FILE, Positive, Whole, converted, table

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


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
        seconds: time between two files.
        max_waiting_rows: rows that may wait in memory; more are dropped, and counted.
        encrypted: nothing is logged, nor served or scored, without a key of LOG_KEYS.
    """

    enabled: bool = True
    seconds: Annotated[float, msgspec.Meta(ge=0.05, le=3600)] = 1.0
    max_waiting_rows: Whole = 200_000
    encrypted: bool = False


def read_slo(path: Path = FILE) -> SLO:
    """Read [slo]; what it leaves out has its default.

    Raises:
        BadSettings: ops/service.toml is not valid TOML, or has an unknown name or a wrong value.
    """
    return converted(table(path, "slo"), SLO, f"{path.name}: [slo]")


def log_settings(path: Path = FILE) -> Logging:
    """Read [log]; what it leaves out has its default.

    Raises:
        BadSettings: ops/service.toml is not valid TOML, or has an unknown name or a wrong value.
    """
    return converted(table(path, "log"), Logging, f"{path.name}: [log]")
