"""What a check found, as JSON for programs: reports/monitor/status.json."""

from typing import Any

import polars as pl

from rung_ops.monitoring import drift, quality_metric
from rung_ops.monitoring.result import MonitorResult


def status(result: MonitorResult) -> dict[str, Any]:
    """Summarize what a check found; null if it is not known."""
    drifted = result.drift.filter(pl.col("drifted"))["feature"].to_list()
    recent = result.quality.filter(pl.col("column") == quality_metric.RECENT)
    model = result.ages["model"].age
    return {
        "release": result.release.id,
        "at": result.now.isoformat(),
        "window": {"since": result.since.isoformat(), "until": result.until.isoformat()},
        "rows": result.rows,
        "drift": {
            "judged": result.judged,
            "drifted": bool(drifted),
            "features": [name for name in drifted if name != drift.PREDICTION],
            "prediction": drift.PREDICTION in drifted,
        },
        "missing": {
            "features": result.drift.filter(pl.col("missing_rose"))["feature"].to_list(),
            "defaulted": result.defaults.filter(pl.col("rose"))["column"].to_list(),
        },
        "entity_features": result.entity_features.to_dicts(),
        "ranges": result.ranges.select("column", "rule", "rows", "share").to_dicts(),
        "freshness": {
            name: {
                "newest": age.newest.isoformat() if age.newest else None,
                "hours": age.age.total_seconds() / 3600 if age.age is not None else None,
                "stale": age.stale,
            }
            for name, age in result.ages.items()
        },
        "model_age_days": model.total_seconds() / 86400 if model is not None else None,
        "quality": _quality(result, recent) if recent.height else None,
        "problems": result.problems,
    }


def _quality(result: MonitorResult, recent: pl.DataFrame) -> dict[str, Any]:
    row = recent.row(0, named=True)
    worse = result.quality.filter(pl.col("worse") & (pl.col("column") != quality_metric.RECENT))
    return {
        "metric": result.metric,
        **{name: row[name] for name in ("predictions", "outcomes", "coverage")},
        **{name: row[name] for name in ("figure", "low", "high", "expected", "worse")},
        "interval": {name: row[name] for name in ("held", "promised", "missed")}
        if row["held"] is not None
        else None,
        "worse_slices": worse.select(
            "column", "value", "figure", "low", "high", "expected"
        ).to_dicts(),
    }
