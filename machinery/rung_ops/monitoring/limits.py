"""The limits of the monitor: what counts as wrong, as the team set it in ops/monitor.toml."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from rung_ops import settings
from rung_ops.project.paths import policy_file


def limits_file() -> Path:
    """Return the path of ops/monitor.toml."""
    return policy_file("monitor.toml")


Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Error = Annotated[float, msgspec.Meta(gt=0, lt=1)]
Time = Annotated[float, msgspec.Meta(gt=0, le=1_000_000)]
Rows = Annotated[int, msgspec.Meta(ge=20, le=1_000_000_000)]


class LookBack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far back a check looks, in days."""

    days: Time = 7.0


class Drift(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a feature, or the predictions, count as drifted."""

    false_alarms: Error = 0.01
    min_rows: Rows = 250
    least_change: Share = 0.05


class Missing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far missing and defaulted values may rise, as a share of the rows."""

    most_rise: Share = 0.02


class Ranges(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The share of rows that may break a bound."""

    most: Share = 0.0


class Freshness(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How old the newest things may be."""

    prediction_hours: Time = 24.0
    row_days: Time = 7.0
    model_days: Time = 90.0
    monitor_hours: Time = 26.0


class Outcomes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When quality is judged, and when it is worse; `most_drop` as rung_ops.gate.rules says.

    most_miss: how far the share of outcomes inside their interval may be from the promised one.
    score_days: whether each day is scored, too: most of a check's time, for a picture on the page.
    """

    days: Time = 60.0
    min_coverage: Share = 0.8
    min_rows: Rows = 100
    most_drop: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.02
    most_miss: Share = 0.05
    false_alarms: Error = 0.01
    score_days: bool = True


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of ops/monitor.toml, by its tables."""

    window: LookBack = LookBack()
    drift: Drift = Drift()
    missing: Missing = Missing()
    ranges: Ranges = Ranges()
    freshness: Freshness = Freshness()
    outcomes: Outcomes = Outcomes()


def read(
    path: Path | None = None, replaced: Mapping[str, Mapping[str, Any]] | None = None
) -> Limits:
    """Read the limits, or their defaults; `replaced` values count in place of the file's."""
    path = limits_file() if path is None else path
    written = settings.toml(path)
    for table, values in (replaced or {}).items():
        written[table] = {**written.get(table, {}), **values}
    return settings.converted(written, Limits, f"{path.name}:")
