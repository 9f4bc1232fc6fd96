"""The result of a check as one value, and its forms: sentences, JSON for programs, gauges for Prometheus.

The service exports the gauges at /metrics. Times are exported, not ages: an age would not grow when the
monitor no longer runs. The limits are exported with the verdicts, so the alert rules in ops/prometheus
contain none.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl
from msgspec.structs import asdict
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from rung_ops.monitoring import quality
from rung_ops.monitoring.inputs import Age
from rung_ops.monitoring.limits import Limits
from rung_ops.monitoring.release_info import Released
from rung_ops.statistics import drift
from rung_ops.system.printable import counted, four_digits


@dataclass(frozen=True)
class MonitorResult:
    """What a check found."""

    release: Released
    now: datetime
    since: datetime
    until: datetime
    rows: int
    error: float  # probability of a false alarm that each test was left with
    judged: bool  # whether there were predictions enough to judge drift
    # Table of drift.compare(), with `drifted` and `missing_rose`; null if not judged.
    drift: pl.DataFrame
    defaults: pl.DataFrame
    ranges: pl.DataFrame
    ages: dict[str, Age]
    entity_features: pl.DataFrame
    quality: pl.DataFrame
    metric: str
    limits: Limits
    problems: list[str]  # what is wrong, each a sentence

    @property
    def recent(self) -> pl.DataFrame:
        """The row of `quality` about the newest days; none where no outcome is known."""
        return self.quality.filter(pl.col("column") == quality.RECENT)


def problems(result: MonitorResult) -> Iterator[str]:
    """Name what is wrong: drift, missing values, defaults, bounds, age, quality."""
    for row in result.drift.iter_rows(named=True):
        name = "the predictions" if row["feature"] == drift.PREDICTION else f"`{row['feature']}`"
        if row["kind"] not in ("number", "category"):
            yield f"{name} cannot be compared: {row['kind']}"
        if row["drifted"]:
            yield (
                f"{name} drifted: {row['change']:.0%} of the rows lie elsewhere "
                f"(p = {row['p_value']:.1g}, PSI {row['psi']:.2f})"
            )
        if row["missing_rose"]:
            yield (
                f"{name} is missing in {row['missing']:.1%} of the rows, "
                f"{row['reference_missing']:.1%} in training"
            )
    looked_up = {row["feature"]: row for row in result.entity_features.iter_rows(named=True)}
    for row in result.defaults.filter(pl.col("rose")).iter_rows(named=True):
        share = f"in {row['share']:.1%} of the rows, {row['expected']:.1%} expected"
        if counts := looked_up.get(row["column"]):
            yield (
                f"the entity feature `{row['column']}` has no value {share}: the feature store had "
                f"none for {counts['missing_entities']:,} of {counts['entities']:,} entities "
                f"({counts['entity']})"
            )
        else:
            yield f"a default replaced missing `{row['column']}` {share}"
    for row in result.ranges.filter(pl.col("share") > result.limits.ranges.most).iter_rows(
        named=True
    ):
        yield (
            f"`{row['column']}` must be {row['rule']}, and {row['rows']:,} rows are not, "
            f"such as {row['example']}"
        )
    for age in result.ages.values():
        if age.stale:
            yield str(age)
    for row in result.quality.filter(pl.col("missed")).iter_rows(named=True):
        yield (
            f"the interval{_where(row)} holds {row['held']:.1%} of the outcomes "
            f"({row['held_low']:.1%} to {row['held_high']:.1%}), and QUANTILES promise "
            f"{row['promised']:.0%}: off by more than {result.limits.outcomes.most_miss:.0%}"
        )
    for row in result.quality.filter(pl.col("worse")).iter_rows(named=True):
        ends = f" ({four_digits(row['low'])} to {four_digits(row['high'])})"
        yield (
            f"{result.metric}{_where(row)} is {four_digits(row['figure'])}"
            f"{ends if row['low'] < row['high'] else ''}, "
            f"and was {four_digits(row['expected'])} on the test rows: worse by more than {row['allowed']}"
        )


def not_judged(result: MonitorResult) -> Iterator[str]:
    """Say what could not be judged, and what it takes; without outcomes at all there is nothing to say."""
    if not result.judged:
        least = result.limits.drift.min_rows
        yield f"Drift is not judged: {counted(result.rows, 'prediction')}, {least:,} needed."
    for row in result.recent.iter_rows(named=True):
        if row["figure"] is not None:
            continue
        days = result.quality.filter(pl.col("column") == quality.DAY)
        predictions, outcomes = (int(days[name].sum()) for name in ("predictions", "outcomes"))
        needed = result.limits.outcomes
        yield (
            f"{result.metric} is not judged: {outcomes / max(1, predictions):.0%} of the outcomes of "
            f"{counted(predictions, 'prediction')} are known, {outcomes:,} in all; a day counts with "
            f"{needed.min_coverage:.0%} of them, and {needed.min_rows:,} outcomes are needed."
        )


def _where(row: Mapping[str, Any]) -> str:
    return "" if row["column"] == quality.RECENT else f" for {row['column']} {row['value']}"


def status(result: MonitorResult) -> dict[str, Any]:
    """Summarize what a check found; null if it is not known."""
    drifted = result.drift.filter(pl.col("drifted"))["feature"].to_list()
    recent = result.recent
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
        "quality": _quality_status(result, recent) if recent.height else None,
        "not_judged": list(not_judged(result)),
        "problems": result.problems,
    }


def _quality_status(result: MonitorResult, recent: pl.DataFrame) -> dict[str, Any]:
    row = recent.row(0, named=True)
    worse = result.quality.filter(pl.col("worse") & (pl.col("column") != quality.RECENT))
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


# By table of the result: the labels of its gauges, with the columns that they are read from; and name,
# help text and column of each gauge.
GAUGES: dict[str, tuple[dict[str, str], tuple[tuple[str, str, str], ...]]] = {
    "drift": (
        {"feature": "feature"},
        (
            ("feature_drifted", "1 if a feature, or prediction, has drifted.", "drifted"),
            ("feature_change", "Share of the rows that lie elsewhere than in training.", "change"),
            ("feature_p_value", "Chance of such a change where there is none.", "p_value"),
            ("feature_psi", "Population stability index.", "psi"),
            ("feature_unseen_ratio", "Share of values that training had not.", "unseen"),
            ("feature_missing_ratio", "Share of rows without a value.", "missing"),
            ("feature_missing_rose", "1 where more is missing than may be.", "missing_rose"),
        ),
    ),
    "defaults": (
        {"column": "column"},
        (
            (
                "column_defaulted_ratio",
                "Share of rows in which a default replaced a missing value.",
                "share",
            ),
            ("column_defaulted_rose", "1 if that share is higher than it may be.", "rose"),
        ),
    ),
    "entity_features": (
        {"feature": "feature", "entity": "entity"},
        (
            ("entity_feature_request_ratio", "Share of rows whose caller sent it.", "request"),
            ("entity_feature_store_ratio", "Share of rows with the store's value.", "store"),
            ("entity_feature_default_ratio", "Share of rows with its default.", "default"),
            (
                "entity_feature_missing_ratio",
                "Share of rows whose entity has no values in the feature store.",
                "missing",
            ),
            ("entity_feature_null_ratio", "Share of rows without a value.", "null"),
        ),
    ),
    "ranges": (
        {"column": "column", "rule": "rule"},
        (
            ("range_broken_rows", "Rows that break a bound of the contract.", "rows"),
            ("range_broken_ratio", "Share of the rows that break it.", "share"),
        ),
    ),
    "quality": (
        {"metric": "metric", "slice": "column", "value": "value"},
        (
            ("quality", "The deciding figure in production, over the newest days.", "figure"),
            ("quality_low", "Lower end of its 95 % interval.", "low"),
            ("quality_high", "Upper end of its 95 % interval.", "high"),
            ("quality_expected", "The figure on the release's test rows.", "expected"),
            ("quality_worse", "1 if it is worse by more than it may be.", "worse"),
            ("interval_held_ratio", "Share of the outcomes inside their interval.", "held"),
            ("interval_promised_ratio", "The share that QUANTILES promise.", "promised"),
            ("interval_missed", "1 if it is farther off than it may be.", "missed"),
            ("outcomes_ratio", "Share of predictions whose outcome is known.", "coverage"),
        ),
    ),
}


def gauges(result: MonitorResult) -> bytes:
    """Return the gauges; those without a value are left out."""
    registry = CollectorRegistry()

    def single(name: str, help_text: str, value: float) -> None:
        Gauge(f"monitor_{name}", help_text, registry=registry).set(value)

    def labelled(
        name: str, help_text: str, labels: Iterable[str], values: Mapping[Any, float]
    ) -> None:
        family = Gauge(f"monitor_{name}", help_text, list(labels), registry=registry)
        for key, value in values.items():
            family.labels(*key).set(value)

    ages = result.ages.items()
    single("run_timestamp_seconds", "When the monitor last ran.", result.now.timestamp())
    single("rows", "Predictions that it checked.", result.rows)
    single("problems", "Things that are wrong.", len(result.problems))
    single("drift_judged", "1 if there were enough of them.", result.judged)
    release = {(result.release.id,): 1.0}
    labelled("release_info", "The release that it checked.", ["release"], release)
    labelled(
        "newest_timestamp_seconds",
        "The newest prediction, row, and row that the model learned from.",
        ["of"],
        {(name,): age.newest.timestamp() for name, age in ages if age.newest},
    )
    stale = {(name,): float(age.stale) for name, age in ages}
    labelled("stale", "1 if the newest of it is older than it may be.", ["of"], stale)
    limits = {
        (f"{table}.{name}",): float(value)
        for table, limits in asdict(result.limits).items()
        for name, value in asdict(limits).items()
    }
    labelled("limit", "What counts as wrong, by table and name.", ["setting"], limits)
    described = {key: 1.0 for key in _descriptions(result)}
    labelled("feature_info", "What a feature is.", ["feature", "description"], described)
    for table, (labels, families) in GAUGES.items():
        rows: pl.DataFrame = getattr(result, table)
        if table == "quality":
            rows = rows.filter(pl.col("column") != quality.DAY)
            rows = rows.with_columns(metric=pl.lit(result.metric))
        for name, help_text, column in families:
            known = rows.drop_nulls(column).iter_rows(named=True)
            values = {
                tuple(str(row[each]) for each in labels.values()): row[column] for row in known
            }
            labelled(name, help_text, labels, values)
    return generate_latest(registry)


def _descriptions(result: MonitorResult) -> Iterator[tuple[str, str]]:
    """Describe each feature by its column of Row: "Distance between the airports (mile)"."""
    columns = {column["name"]: column for column in result.release.contract["columns"]}
    columns[drift.PREDICTION] = {"description": "What the model answers"}
    for name in result.drift["feature"]:
        column = columns.get(name, {})
        description = column.get("description") or "Derived from the row"
        unit = f" ({column['unit']})" if column.get("unit") else ""
        yield name, f"{description}{unit}"
