"""What a check found, as JSON for programs: reports/monitor/status.json."""

from typing import Any

import polars as pl

from rung_ops.monitoring import drift, quality_metric
from rung_ops.monitoring.result import Seen


def status(seen: Seen) -> dict[str, Any]:
    """Sum up what was seen; null where nobody can tell."""
    drifted = seen.drift.filter(pl.col("drifted"))["feature"].to_list()
    recent = seen.quality.filter(pl.col("column") == quality_metric.RECENT)
    model = seen.ages["model"].age
    return {
        "release": seen.release.id,
        "at": seen.now.isoformat(),
        "window": {"since": seen.since.isoformat(), "until": seen.until.isoformat()},
        "rows": seen.rows,
        "drift": {
            "judged": seen.judged,
            "drifted": bool(drifted),
            "features": [name for name in drifted if name != drift.PREDICTION],
            "prediction": drift.PREDICTION in drifted,
        },
        "missing": {
            "features": seen.drift.filter(pl.col("missing_rose"))["feature"].to_list(),
            "defaulted": seen.defaults.filter(pl.col("rose"))["column"].to_list(),
        },
        "ranges": seen.ranges.select("column", "rule", "rows", "share").to_dicts(),
        "freshness": {
            name: {
                "newest": age.newest.isoformat() if age.newest else None,
                "hours": age.age.total_seconds() / 3600 if age.age is not None else None,
                "stale": age.stale,
            }
            for name, age in seen.ages.items()
        },
        "model_age_days": model.total_seconds() / 86400 if model is not None else None,
        "quality": _quality(seen, recent) if recent.height else None,
        "problems": seen.problems,
    }


def _quality(seen: Seen, recent: pl.DataFrame) -> dict[str, Any]:
    row = recent.row(0, named=True)
    worse = seen.quality.filter(pl.col("worse") & (pl.col("column") != quality_metric.RECENT))
    return {
        "metric": seen.metric,
        **{name: row[name] for name in ("predictions", "outcomes", "coverage")},
        **{name: row[name] for name in ("figure", "low", "high", "expected", "worse")},
        "worse_slices": worse.select(
            "column", "value", "figure", "low", "high", "expected"
        ).to_dicts(),
    }
