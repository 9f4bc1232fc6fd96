"""What reached the model: replaced by a default, out of bounds, from the feature store or not, too old."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import polars as pl

from rung_ops.features import stores
from rung_ops.features.point_in_time import CADENCES
from rung_ops.features.store import FeatureStoreError
from rung_ops.model.columns import columns_of
from rung_ops.model.rules import broken
from rung_ops.monitoring.limits import Freshness
from rung_ops.statistics import drift

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True)
class Age:
    """The newest of something.

    Attributes:
        what: of what, as a phrase that a sentence can begin with.
        newest: its moment in UTC; None if there is none.
        limit: how old it may be.
        now: the moment of the check.
    """

    what: str
    newest: datetime | None
    limit: timedelta
    now: datetime

    @property
    def age(self) -> timedelta | None:
        """How old it is; negative for a moment to come."""
        return None if self.newest is None else self.now - self.newest

    @property
    def stale(self) -> bool:
        """Whether it is older than it may be, or not there."""
        return self.age is None or self.age > self.limit

    def __str__(self) -> str:
        if self.newest is None or self.age is None:
            return f"{self.what}: there is none"
        return (
            f"{self.what} is of {self.newest:%Y-%m-%d %H:%M} UTC, {_words(self.age)} ago; "
            f"{_words(self.limit)} may pass"
        )


def check_freshness(
    now: datetime,
    limits: Freshness,
    manifest: Mapping[str, Any],
    newest_prediction: datetime | None,
    newest_row: datetime | None,
    has_time: bool,
) -> dict[str, Age]:
    """Find the age of the newest prediction, row and training row.

    Args:
        now: the moment of the check, with a time zone.
        limits: [freshness] of ops/monitor.toml.
        manifest: of the release; the model's age counts from known_until().
        newest_prediction: when the log's last row was answered.
        newest_row: the latest TIME of the rows that were asked about.
        has_time: whether rows have a TIME.

    Returns:
        By name: prediction, row (where rows have a time) and model.
    """
    ages = {
        "prediction": Age(
            "the newest prediction", newest_prediction, limits.prediction_hours * HOUR, now
        )
    }
    if has_time:
        ages["row"] = Age("the newest row", newest_row, limits.row_days * DAY, now)
    ages["model"] = Age(*known_until(manifest), limits.model_days * DAY, now)
    return ages


def known_until(manifest: Mapping[str, Any]) -> tuple[str, datetime | None]:
    """Return since when the world may have changed without a release knowing, and what was then.

    Rows that judged the release count as well: it could not have been made of newer ones. Releases of
    earlier versions say only which row was the last to train on.
    """
    if manifest.get("data_until"):
        return "the newest row when the model was made", moment(manifest["data_until"])
    if manifest.get("trained_until"):
        return "the newest row the model learned from", moment(manifest["trained_until"])
    return "the model", moment(manifest["created"])


def moment(value: str | date | datetime | None) -> datetime | None:
    """Read a moment, as UTC where it names no zone; a day counts from its beginning."""
    if value is None:
        return None
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        value = datetime.combine(value, time())
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _words(span: timedelta) -> str:
    if abs(span) < 2 * DAY:
        return f"{span / HOUR:.3g} hours"
    return f"{span / DAY:,.0f} days"


DEFAULTS_SCHEMA: dict[str, Any] = {
    "column": pl.String,
    "defaulted": pl.Int64,
    "share": pl.Float64,
    "expected": pl.Float64,
    "p_value": pl.Float64,
}


def defaulted(
    log: pl.DataFrame,
    columns: list[Mapping[str, Any]],
    reference: pl.DataFrame,
    trained: dict[str, float] | None = None,
) -> pl.DataFrame:
    """Count the rows in which a default was used, column by column.

    A share that rises is often the first sign of trouble: the model still answers, and a source
    has fallen silent.

    Args:
        log: rows of the prediction log.
        columns: of the release's contract; those that may be missing are counted. `default_share`
            says how often one was missing in training.
        reference: features of training rows, for a release whose contract has no such share: a
            feature of the same name says how often it was missing; otherwise never is expected.
        trained: by entity feature, the share of the training rows that had the default.

    Returns:
        One row a column, of SCHEMA: share of the rows, the share expected, and the probability of
        so different a share where nothing differs; null without rows.
    """
    used = Counter(log["defaults_used"].explode().drop_nulls().to_list())
    shares = {column["name"]: column.get("default_share") for column in columns} | (trained or {})
    optional = [column["name"] for column in columns if not column["required"]]
    rows_of_columns = []
    for name in sorted({*optional, *used}):
        absent = reference[name].null_count() if name in reference.columns else 0
        if (known := shares.get(name)) is not None:
            absent = round(known * reference.height)
        row = {
            "column": name,
            "defaulted": used[name],
            "expected": absent / max(1, reference.height),
        }
        if log.height and reference.height:
            row["share"] = used[name] / log.height
            row["p_value"] = drift.fisher(used[name], log.height, absent, reference.height)
        rows_of_columns.append(row)
    return pl.DataFrame(rows_of_columns, schema=DEFAULTS_SCHEMA)


RANGES_SCHEMA: dict[str, Any] = {
    "column": pl.String,
    "rule": pl.String,
    "rows": pl.Int64,
    "share": pl.Float64,
    "example": pl.String,
}


def violations(rows: pl.DataFrame, columns: list[Mapping[str, Any]]) -> pl.DataFrame:
    """Count the rows that break a rule, for each rule that is broken.

    Args:
        rows: the input columns of logged rows.
        columns: of the release's contract.

    Returns:
        One row a broken rule, of SCHEMA; empty where all keep all.
    """
    breaches = []
    for column in columns_of({"columns": columns}):
        if column.name not in rows.columns:
            continue
        values = rows.get_column(column.name)
        for rule, breaks in broken(column, values):
            bad = values.filter(breaks)
            if len(bad):
                breaches.append(
                    (column.name, rule, len(bad), len(bad) / rows.height, _example(bad))
                )
    return pl.DataFrame(breaches, schema=RANGES_SCHEMA, orient="row")


def _example(bad: pl.Series) -> str:
    return "nothing" if bad[0] is None else str(bad[0])


BATCH = "batch"  # whose features are computed from the events, not looked up

ENTITY_FEATURES_SCHEMA: dict[str, Any] = {
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


def store_ages(views: Views, as_of: Mapping[str, int], now: datetime) -> dict[str, Age]:
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


def of_another_time(counts: Mapping[str, Mapping[str, int]], most: float) -> Iterator[str]:
    """Say where many rows needed entity features of another time than that of the feature store.

    Args:
        counts: by view, from other_times.read().
        most: the share of the rows that is not reported.
    """
    for view, number in sorted(counts.items()):
        refused, default = number.get("refused", 0), number.get("default", 0)
        if refused + default > most * number.get("rows", 0):
            yield (
                f"{refused + default:,} of {number.get('rows', 0):,} rows needed entity features "
                f"({view}) of another time than that of the feature store: {refused:,} were refused, "
                f"{default:,} got the default"
            )


def entity_features(log: pl.DataFrame, views: Views) -> pl.DataFrame:
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
    return pl.DataFrame(figures, schema=ENTITY_FEATURES_SCHEMA)


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
