"""What a check found, as one value that report, status and figures are made from."""

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from rung_ops.monitoring.freshness import Age
from rung_ops.monitoring.limits import Limits
from rung_ops.monitoring.release_info import Released


@dataclass(frozen=True)
class MonitorResult:
    """What a check found.

    Attributes:
        release: that answered.
        now: the moment of the check, with a time zone.
        since, until: the window.
        rows: predictions in it.
        error: probability of a false alarm that each test was left with.
        judged: whether there were predictions enough to judge drift.
        drift: table of drift.compare(), with `drifted` and `missing_rose`; null if not judged.
        defaults: table of defaults.defaulted(), with `rose`.
        ranges: table of ranges.violations().
        ages: from freshness.check_freshness() and feature_quality.ages().
        entity_features: table of feature_quality.measure(); empty if the release has none.
        quality: table of quality.judge(); empty if no outcomes are known.
        metric: the deciding figure.
        limits: by which it was judged.
        problems: what is wrong, each a sentence.
    """

    release: Released
    now: datetime
    since: datetime
    until: datetime
    rows: int
    error: float
    judged: bool
    drift: pl.DataFrame
    defaults: pl.DataFrame
    ranges: pl.DataFrame
    ages: dict[str, Age]
    entity_features: pl.DataFrame
    quality: pl.DataFrame
    metric: str
    limits: Limits
    problems: list[str]
