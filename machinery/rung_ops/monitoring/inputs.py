"""What reached the model: replaced by a default, out of bounds, from the feature store or not, too old."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from rung_ops.data import blocks
from rung_ops.features import stores
from rung_ops.features.point_in_time import CADENCES
from rung_ops.features.store import FeatureStoreError
from rung_ops.model import bundle
from rung_ops.model.columns import columns_of
from rung_ops.model.rules import broken
from rung_ops.monitoring.limits import Freshness
from rung_ops.statistics import drift

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True)
class Age:
    """The newest of something; `what` is a phrase that a sentence can begin with."""

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


@dataclass(frozen=True)
class Newest:
    """The newest moments of a log, in UTC: when an answer was given, and the TIME of a row."""

    prediction: datetime | None
    row: datetime | None


def check_freshness(
    now: datetime, limits: Freshness, manifest: Mapping[str, Any], newest: Newest, has_time: bool
) -> dict[str, Age]:
    """Find the age of the newest prediction, row (where rows have a time) and model."""
    hours, days = limits.prediction_hours * HOUR, limits.row_days * DAY
    ages = {"prediction": Age("the newest prediction", newest.prediction, hours, now)}
    if has_time:
        ages["row"] = Age("the newest row", newest.row, days, now)
    ages["model"] = Age(*bundle.known_until(manifest), limits.model_days * DAY, now)
    return ages


def _words(span: timedelta) -> str:
    if abs(span) < 2 * MINUTE:
        return f"{span.total_seconds():.0f} seconds"
    if abs(span) < 2 * HOUR:
        return f"{span / MINUTE:.0f} minutes"
    if abs(span) < 2 * DAY:
        return f"{span / HOUR:.3g} hours"
    return f"{span / DAY:,.0f} days"


DEFAULTS_SCHEMA: dict[str, Any] = {
    "column": pl.String,
    "defaulted": pl.Int64,
    **dict.fromkeys(("share", "expected", "p_value"), pl.Float64),
}


def defaulted(
    log: pl.DataFrame | pl.LazyFrame,
    columns: list[Mapping[str, Any]],
    reference: pl.DataFrame,
    trained: dict[str, float] | None = None,
) -> pl.DataFrame:
    """Count the rows in which a default was used, by column: more than usual, a source is silent."""
    column = "defaults_used"
    listed = log.lazy().select(column).filter(pl.col(column).list.len() > 0)
    counts = listed.explode(column).group_by(column).len()
    used = dict(counts.collect(engine="streaming").drop_nulls().iter_rows())
    height = blocks.height(log.lazy())
    shares = {column["name"]: column.get("default_share") for column in columns} | (trained or {})
    optional = [column["name"] for column in columns if not column["required"]]
    rows_of_columns = []
    for name in sorted({*optional, *used}):
        absent = reference[name].null_count() if name in reference.columns else 0
        if (known := shares.get(name)) is not None:
            absent = round(known * reference.height)
        row = {
            "column": name,
            "defaulted": used.get(name, 0),
            "expected": absent / max(1, reference.height),
        }
        if height and reference.height:
            row["share"] = row["defaulted"] / height
            row["p_value"] = drift.fisher(row["defaulted"], height, absent, reference.height)
        rows_of_columns.append(row)
    return pl.DataFrame(rows_of_columns, schema=DEFAULTS_SCHEMA)


RANGES_SCHEMA: dict[str, Any] = {
    "column": pl.String,
    "rule": pl.String,
    "rows": pl.Int64,
    "share": pl.Float64,
    "example": pl.String,
}


def violations(
    rows: pl.DataFrame | Iterable[pl.DataFrame], columns: list[Mapping[str, Any]]
) -> pl.DataFrame:
    """Count the rows, or blocks of rows, that break a rule of the contract, if any do."""
    counts, examples, height = dict[tuple[str, str], int](), dict[tuple[str, str], str](), 0
    for block in [rows] if isinstance(rows, pl.DataFrame) else rows:
        height += block.height
        for column in columns_of({"columns": columns}):
            if column.name not in block.columns:
                continue
            values = block.get_column(column.name)
            for words, breaks in broken(column, values):
                rule, bad = (column.name, words), values.filter(breaks)
                counts[rule] = counts.get(rule, 0) + len(bad)
                if len(bad):
                    examples.setdefault(rule, "nothing" if bad[0] is None else str(bad[0]))
    breaches = [
        (*rule, number, number / height, examples[rule])
        for rule, number in counts.items()
        if number
    ]
    return pl.DataFrame(breaches, schema=RANGES_SCHEMA, orient="row")


BATCH = "batch"  # whose features are computed from the events, not looked up

ENTITY_FEATURES_SCHEMA: dict[str, Any] = {
    "feature": pl.String,
    "entity": pl.String,
    "rows": pl.Int64,
    **dict.fromkeys(("request", "store", "default", "missing", "null"), pl.Float64),
    **dict.fromkeys(("entities", "missing_entities"), pl.Int64),
}

Views = Sequence[Mapping[str, Any]]


def filled() -> Mapping[str, int]:
    """Read what the values in the store are of, by view; empty if it cannot be read."""
    try:
        return stores.project_store().as_of()
    except FeatureStoreError:
        return {}


def store_ages(views: Views, as_of: Mapping[str, int], now: datetime) -> dict[str, Age]:
    """Find how old the values of each view are; a release that declares no limit is not judged."""
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
    """Say where more than a share of the rows needed features of another time than the store's."""
    for view, number in sorted(counts.items()):
        refused, default = number.get("refused", 0), number.get("default", 0)
        if refused + default > most * number.get("rows", 0):
            yield (
                f"{refused + default:,} of {number.get('rows', 0):,} rows needed entity features "
                f"({view}) of another time than that of the feature store: {refused:,} were refused, "
                f"{default:,} got the default"
            )


def entity_features(log: pl.DataFrame | pl.LazyFrame, views: Views) -> pl.DataFrame:
    """Measure how often each entity feature had no value, as shares of the rows without scored
    batches. `request`, `store` and `default`, where the value came from, are 1 together;
    `missing` is the share of rows whose entity has no value of its view, `null` of those
    without a value for the model.
    """
    asked = log.lazy().filter(pl.col("arm") != BATCH)
    height = blocks.height(asked) if views else 0
    schema, row = asked.collect_schema(), pl.col("row").struct
    logged = {each.name for each in schema["row"].fields} if height else set()  # type: ignore[attr-defined]
    figures: list[dict[str, Any]] = []
    for view in views:
        names = [feature["name"] for feature in view["features"]]
        if not height or not {*names, *view["entity"]} <= logged:
            figures += [{"feature": name, "entity": _entity(view), "rows": 0} for name in names]
            continue
        absent = {name: _names("defaults_used", name, schema) for name in names}
        missing = pl.all_horizontal(*absent.values())
        entities = pl.struct(row.field(name) for name in view["entity"])
        counts = asked.select(
            missing=missing.mean(),
            entities=entities.n_unique(),
            missing_entities=entities.filter(missing).n_unique(),
        )
        common = {"entity": _entity(view), "rows": height, **_single(counts)}
        for name in names:
            sent = _names("sent", name, schema)
            shares = asked.select(
                request=sent.mean(),
                store=(~(absent[name] | sent)).mean(),
                default=absent[name].mean(),
                null=row.field(name).is_null().mean(),
            )
            figures.append(common | {"feature": name, **_single(shares)})
    return pl.DataFrame(figures, schema=ENTITY_FEATURES_SCHEMA)


def _single(figures: pl.LazyFrame) -> dict[str, Any]:
    return figures.collect(engine="streaming").row(0, named=True)


def _names(column: str, name: str, schema: pl.Schema) -> pl.Expr:
    """Tell of each row whether a column of lists holds a name; no row, if the log lacks the column."""
    if column not in schema:
        return pl.col("arm").is_null()  # which it never is
    return pl.col(column).list.contains(name).fill_null(False)


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
