"""How entity features reached the model: from the store or not, and how old the store is."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from rung_ops.features import stores
from rung_ops.features.store import FeatureStoreError
from rung_ops.monitoring.freshness import Age

BATCH = "batch"  # whose features are computed from the events, not looked up
# A store this many cadences old was not filled when it should have been.
CADENCES = 2

SCHEMA: dict[str, Any] = {
    "feature": pl.String,
    "entity": pl.String,
    "rows": pl.Int64,
    "request": pl.Float64,
    "store": pl.Float64,
    "default": pl.Float64,
    "missing": pl.Float64,
    "null": pl.Float64,
    "entities": pl.Int64,
    "missing_entities": pl.Int64,
}

Views = Sequence[Mapping[str, Any]]


def filled() -> Mapping[str, int]:
    """Read what the values in the store are of, by view; empty if it cannot be read."""
    try:
        return stores.project_store().as_of()
    except FeatureStoreError:
        return {}


def ages(views: Views, as_of: Mapping[str, int], now: datetime) -> dict[str, Age]:
    """Find how old the values of each view are.

    They may be as old as the shortest `max_age` allows, or else two cadences. A release of an earlier
    library may tell neither, and is not judged.

    Args:
        views: `entity_features` of a release's contract.
        as_of: from filled().
        now: the moment of the check.

    Returns:
        By name, as a label of gauges has it.
    """
    ages: dict[str, Age] = {}
    for view in views:
        names = [feature["name"] for feature in view["features"]]
        limits = [feature["max_age_seconds"] for feature in view["features"]]
        cadence = view.get("cadence_seconds")
        declared = [limit for limit in limits if limit is not None]
        if not declared and cadence is None:
            continue
        limit = min(declared, default=CADENCES * (cadence or 0))
        newest = as_of.get(view["id"])
        moment = datetime.fromtimestamp(newest / 1e6, UTC) if newest is not None else None
        label = f"features of {_entity(view)}"
        key = f"{label}, {names[0]}" if label in ages else label
        what = f"the feature store of `{'`, `'.join(names)}`"
        ages[key] = Age(what, moment, timedelta(seconds=limit), now)
    return ages


def measure(log: pl.DataFrame, views: Views) -> pl.DataFrame:
    """Measure how often each entity feature had no value.

    Args:
        log: rows of the prediction log; those scored in batches are left out.
        views: `entity_features` of a release's contract.

    Returns:
        One row a feature, of SCHEMA, shares null without rows:
        request, store, default: share of the rows whose value came from there; together 1;
        missing: share of the rows whose entity has no value of this and the features beside it;
        null: share of the rows in which the model got no value, as there is no default;
        entities, missing_entities: different ones that were asked for, and those without values.
    """
    asked = log.filter(pl.col("arm") != BATCH)
    rows = asked["row"].struct.unnest() if views and asked.height else pl.DataFrame()
    figures: list[dict[str, Any]] = []
    for view in views:
        names = [feature["name"] for feature in view["features"]]
        if not asked.height or not {*names, *view["entity"]} <= {*rows.columns}:
            figures += [{"feature": name, "entity": _entity(view), "rows": 0} for name in names]
            continue
        absent, sent = _named(asked, "defaults_used", names), _named(asked, "sent", names)
        missing = absent.select(pl.all_horizontal(pl.all())).to_series()
        entities = rows.select(view["entity"])
        counted = {
            "entity": _entity(view),
            "rows": asked.height,
            "missing": missing.mean(),
            "entities": entities.n_unique(),
            "missing_entities": entities.filter(missing).n_unique(),
        }
        figures += [
            counted
            | {
                "feature": name,
                "request": sent[name].mean(),
                "store": (~(absent[name] | sent[name])).mean(),
                "default": absent[name].mean(),
                "null": rows[name].is_null().mean(),
            }
            for name in names
        ]
    return pl.DataFrame(figures, schema=SCHEMA)


def _named(log: pl.DataFrame, column: str, names: Sequence[str]) -> pl.DataFrame:
    """Tell of each row which names a column of lists holds; none if the log lacks the column."""
    if column not in log.columns:
        return log.select(pl.repeat(False, pl.len()).alias(name) for name in names)
    listed = pl.col(column).list
    return log.select(listed.contains(name).fill_null(False).alias(name) for name in names)


def trained_shares(views: Views) -> dict[str, float]:
    """Return the share of the training rows that had the default, by feature, where it is known."""
    return {
        feature["name"]: feature["default_share"]
        for view in views
        for feature in view["features"]
        if feature.get("default_share") is not None
    }


def _entity(view: Mapping[str, Any]) -> str:
    return ",".join(view["entity"])
