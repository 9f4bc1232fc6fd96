"""Check a window of predictions and say what is wrong: the whole monitor, as a function."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from rung_ops import prediction_log
from rung_ops.model.target import kind_in
from rung_ops.monitoring import inputs, outcomes, quality
from rung_ops.monitoring.inputs import Newest, moment
from rung_ops.monitoring.limits import Limits
from rung_ops.monitoring.monitor_result import MonitorResult, problems
from rung_ops.monitoring.outcomes import Outcomes
from rung_ops.monitoring.quality import QualityMetric
from rung_ops.monitoring.release_info import Released
from rung_ops.statistics import drift

SHADOW = "shadow"  # predictions that no caller received


def logged_rows(folder: Path, release: str, since: datetime, until: datetime) -> pl.DataFrame:
    """Read what a release answered since a moment and before another, in the order of their times."""
    wanted = (pl.col("release") == release) & (pl.col("arm") != SHADOW)
    return prediction_log.read(folder, since, until).filter(wanted).sort("time").collect()


def newest_moments(log: pl.LazyFrame, time: str | None) -> Newest:
    """Find the newest moments, whichever release answered; `time` is the column that orders rows."""
    answered = log.filter(pl.col("arm") != SHADOW)
    row = log.collect_schema()["row"]
    names = {each.name for each in row.fields} if isinstance(row, pl.Struct) else set()
    asked: list[pl.Expr] = [pl.col("time").max()]
    if time in names:
        asked.append(pl.col("row").struct.field(str(time)).max().alias("row"))
    ends: dict[str, Any] = answered.select(asked).collect().row(0, named=True)
    return Newest(moment(ends["time"]), moment(ends.get("row")))


@dataclass(frozen=True)
class MonitorInput:
    """What is known of a release's predictions at the moment of a check."""

    log: pl.DataFrame
    earlier: pl.DataFrame  # the same, as far back as outcomes are followed; may be the same rows
    known: Outcomes
    newest: Newest
    since: datetime  # where the window begins; it ends at `now`
    now: datetime  # the moment of the check, with a time zone
    # What the feature store holds; None if the release has no entity features.
    stored: Mapping[str, int] | None = None
    # Rows that needed entity features of another time.
    other_times: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def check_release(
    release: Released, given: MonitorInput, limits: Limits, settings: Mapping[str, Any]
) -> MonitorResult:
    """Check what a release predicted, by `limits` of ops/monitor.toml and `settings` of params.toml."""
    log, now = given.log, given.now
    views = release.contract.get("entity_features", [])
    judged = log.height >= limits.drift.min_rows
    features, columns, error = _compared(release, log, views, limits)
    rose = pl.col("share") - pl.col("expected") > limits.missing.most_rise
    result = MonitorResult(
        release,
        now,
        given.since,
        now,
        log.height,
        error,
        judged,
        features.with_columns(*_drifted(error, judged, limits)),
        columns.with_columns(_if(judged, rose & (pl.col("p_value") <= error)).alias("rose")),
        inputs.violations(_unnested(log, "row"), release.contract["columns"]),
        inputs.check_freshness(
            now,
            limits.freshness,
            release.manifest,
            given.newest,
            release.contract["time"] is not None,
        )
        | inputs.store_ages(views, given.stored or {}, now),
        inputs.entity_features(log, views),
        _quality_of(outcomes.join(given.earlier, given.known), release, limits, settings),
        settings["score"]["metric"],
        limits,
        [
            *given.known.problems,
            *inputs.of_another_time(given.other_times, limits.missing.most_rise),
        ],
    )
    result.problems.extend(problems(result))
    result.problems.extend(_unit_changes(result, given.earlier))
    return result


def _unit_changes(result: MonitorResult, log: pl.DataFrame) -> Iterator[str]:
    """Name drifted columns whose unit has changed, and how training leaves out the rows before."""
    drifted = result.drift.filter(pl.col("drifted") & (pl.col("kind") == "number"))["feature"]
    features = features_of(log) if len(drifted) else log
    for name in drifted.to_list():
        if name == drift.PREDICTION:
            continue
        rows = features.select(
            pl.col(name).cast(pl.Float64, strict=False).alias("value"), log["time"].alias("time")
        )
        rows = rows.drop_nulls("value").filter(pl.col("value").is_finite()).sort("time")
        known = result.release.reference[name].cast(pl.Float64).drop_nulls().drop_nans().to_numpy()
        found = find_unit_change(known, rows["value"].to_numpy(), rows["time"].dt.date())
        if found:
            yield (
                f"`{name}` is {found}: if its unit changed, convert the rows in load(), or leave out "
                f'those from before under [split] in params.toml: `begins = "{found.since}"  # {name}`'
            )


def _compared(
    release: Released, log: pl.DataFrame, views: Sequence[Mapping[str, Any]], limits: Limits
) -> tuple[pl.DataFrame, pl.DataFrame, float]:
    """Compare features and defaulted columns with training; return also the error left to each test."""
    features = drift.compare(release.reference, features_of(log))
    contract, shares = release.contract["columns"], inputs.trained_shares(views)
    columns = inputs.defaulted(log, contract, release.reference, shares)
    p_values = [features["p_value"], features["missing_p_value"], columns["p_value"]]
    tests = sum(each.count() for each in p_values)
    return features, columns, limits.drift.false_alarms / max(1, tests)


def features_of(log: pl.DataFrame) -> pl.DataFrame:
    """Take features and predictions out of the log, as the reference has them."""
    return _unnested(log, "features").with_columns(log[drift.PREDICTION])


def _unnested(log: pl.DataFrame, name: str) -> pl.DataFrame:
    kind = log.schema[name]
    return (
        log[name].struct.unnest() if isinstance(kind, pl.Struct) and kind.fields else log.select()
    )


def _quality_of(
    joined: pl.DataFrame, release: Released, limits: Limits, settings: Mapping[str, Any]
) -> pl.DataFrame:
    if not joined[outcomes.TRUTH].count():
        return pl.DataFrame(schema=quality.SCHEMA)
    measured = QualityMetric(
        release.score(),
        settings["score"]["metric"],
        settings["score"]["higher_is_better"],
        release.metrics,
        release.slices,
        settings.get("report", {}).get("slices", []),
        release.manifest["task"] == "classification",
        settings["seed"],
        kind_in(release.contract),
    )
    return quality.judge(joined, measured, limits)


def _drifted(error: float, judged: bool, limits: Limits) -> Iterator[pl.Expr]:
    more = pl.col("missing") - pl.col("reference_missing") > limits.missing.most_rise
    yield _if(judged, drift.changed(error, limits.drift.least_change)).alias("drifted")
    yield _if(judged, more & (pl.col("missing_p_value") <= error)).alias("missing_rose")


def _if(judged: bool, verdict: pl.Expr) -> pl.Expr:
    return pl.when(pl.lit(judged)).then(verdict.fill_null(False))


# Of usual units: how many times larger the same quantity is in the smaller one.
FACTORS = {
    2.20462: "kilograms and pounds",
    2.54: "inches and centimetres",
    3.28084: "metres and feet",
    1.60934: "miles and kilometres",
    3.78541: "gallons and litres",
    28.3495: "ounces and grams",
    24.0: "days and hours",
    60.0: "minutes and seconds, or hours and minutes",
    3600.0: "hours and seconds",
    100.0: "shares and per cent, or a unit and hundredths",
    1000.0: "a unit and thousandths",
    1e6: "a unit and millionths",
}
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
TOLERANCE = 0.1  # of each quantile's ratio: they scatter with the rows
LEAST = 100  # rows, to know the quantiles by
NEAR_ZERO = 0.05  # of the largest quantile: a ratio of smaller ones says nothing


@dataclass(frozen=True)
class UnitChange:
    """A change of unit."""

    factor: float  # values now, divided by those before
    units: str  # that are so far apart, in words
    since: date  # first day on which the values are like those now

    def __str__(self) -> str:
        """Say what happened, in a clause."""
        times = self.factor if self.factor >= 1 else 1 / self.factor
        way = "times" if self.factor >= 1 else "times less than"
        return f"about {times:.3g} {way} what it was since {self.since} ({self.units})"


def find_unit_change(
    reference: np.ndarray, values: np.ndarray, days: pl.Series
) -> UnitChange | None:
    """Compare the values at the end with training; None if no known factor fits all quantiles."""
    newest = values[-max(LEAST, len(values) // 5) :]
    if min(len(newest), len(reference)) < LEAST:
        return None
    then, now = np.quantile(reference, QUANTILES), np.quantile(newest, QUANTILES)
    told = np.abs(then) > NEAR_ZERO * np.abs(then).max()
    if told.sum() < 3 or (then[told] * now[told] <= 0).any():
        return None
    ratios = np.log(now[told] / then[told])
    for size, units in FACTORS.items():
        for factor in (size, 1 / size):
            if np.abs(ratios - math.log(factor)).max() < math.log1p(TOLERANCE):
                return UnitChange(factor, units, _since(reference, values, days, factor))
    return None


def _since(reference: np.ndarray, values: np.ndarray, days: pl.Series, factor: float) -> date:
    """Find the first day from which on each day's median lies nearer to what it is now."""
    middle = float(np.median(reference))
    by_day = (
        pl.DataFrame({"day": days, "value": values})
        .group_by("day")
        .agg(pl.col("value").median())
        .sort("day", descending=True)
    )
    since: date = by_day["day"][0]
    for day, median in by_day.iter_rows():
        if abs(median - middle) < abs(median - factor * middle):
            break
        since = day
    return since
