"""Check a window of predictions and say what is wrong: the whole monitor, as a function."""

import math
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from rung_ops import prediction_log
from rung_ops.data import blocks
from rung_ops.model.bundle import moment
from rung_ops.model.target import kind_in, packed
from rung_ops.monitoring import inputs, outcomes, quality
from rung_ops.monitoring.inputs import Newest
from rung_ops.monitoring.limits import Limits
from rung_ops.monitoring.monitor_result import MonitorResult, problems
from rung_ops.monitoring.outcomes import Outcomes
from rung_ops.monitoring.quality import QualityMetric
from rung_ops.monitoring.release_info import Released
from rung_ops.prediction_log import sealed
from rung_ops.statistics import drift
from rung_ops.system import files

SHADOW = "shadow"  # predictions that no caller received


@dataclass(frozen=True)
class LoggedRows:
    """Rows of the prediction log, which are read several times, as all need not fit into memory.

    Attributes:
        read: scans whole files, whose parts can be read without what is before.
        wanted: which of their rows count.
        in_files: they are not in memory.
    """

    read: Callable[[], pl.LazyFrame]
    wanted: pl.Expr
    in_files: bool = True

    def lazy(self) -> pl.LazyFrame:
        """Scan the rows that count."""
        return self.read().filter(self.wanted)

    def since(self, begin: datetime) -> "LoggedRows":
        """Leave out what is before a moment."""
        return replace(self, wanted=self.wanted & prediction_log.within(begin, None))

    def in_blocks(self, *columns: pl.Expr) -> Iterator[pl.DataFrame]:
        """Read columns of the rows block by block; at least one block, if empty."""
        rows = self.read()
        for part in blocks.parts(rows, blocks.block_rows(rows.select(columns))):
            yield part.filter(self.wanted).select(columns).collect()


def in_memory(frame: pl.DataFrame) -> LoggedRows:
    """Return rows that are in memory as those that are read."""
    return LoggedRows(frame.lazy, pl.lit(True), in_files=False)


def logged_rows(folder: Path, release: str, since: datetime, until: datetime) -> LoggedRows:
    """Find what a release answered since a moment and before another.

    If they fit into a block, and so all rows of an encrypted log, they are in memory, in the order of
    their times; else they are read in the order of the files.
    """
    answered = (pl.col("release") == release) & (pl.col("arm") != SHADOW)
    rows = LoggedRows(
        lambda: prediction_log.read_days(folder, since, until),
        prediction_log.within(since, until) & answered,
    )
    if sealed.keys() or blocks.is_one(rows.lazy()):
        return in_memory(rows.lazy().sort("time").collect())
    return rows


def newest_moments(log: pl.LazyFrame, time: str | None) -> Newest:
    """Find the newest moments, whichever release answered; `time` is the column that orders rows."""
    answered = log.filter(pl.col("arm") != SHADOW)
    newest, fields = [pl.col("time").max()], _fields(log, "row")
    if time in fields:
        newest.append(fields[time].max().alias("row"))
    ends: dict[str, Any] = answered.select(newest).collect(engine="streaming").row(0, named=True)
    return Newest(moment(ends["time"]), moment(ends.get("row")))


@dataclass(frozen=True)
class MonitorInput:
    """What is known of a release's predictions at the moment of a check."""

    log: pl.DataFrame | LoggedRows
    # The same, as far back as outcomes are followed; may be the same rows.
    earlier: pl.DataFrame | LoggedRows
    known: Outcomes
    newest: Newest
    since: datetime  # where the window begins; it ends at `now`
    now: datetime  # the moment of the check, with a time zone
    # What the feature store holds; None if the release has no entity features.
    stored: Mapping[str, int] | None = None
    # Rows that needed entity features of another time.
    other_times: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    # Has room for about as much as the log takes, where that is larger than a block.
    scratch: Path | None = None


def check_release(
    release: Released, given: MonitorInput, limits: Limits, settings: Mapping[str, Any]
) -> MonitorResult:
    """Check what a release predicted, by `limits` of ops/monitor.toml and `settings` of params.toml."""
    log, earlier = (
        in_memory(rows) if isinstance(rows, pl.DataFrame) else rows
        for rows in (given.log, given.earlier)
    )
    if not earlier.in_files:  # what may be decrypted is not written
        return _check(release, given, log, earlier, limits, settings, None)
    folder = given.scratch
    # In a folder of the project, what a killed check left goes.
    with files.draft_folder(folder) if folder else tempfile.TemporaryDirectory() as scratch:
        return _check(release, given, log, earlier, limits, settings, Path(scratch))


def _check(
    release: Released,
    given: MonitorInput,
    log: LoggedRows,
    earlier: LoggedRows,
    limits: Limits,
    settings: Mapping[str, Any],
    scratch: Path | None,
) -> MonitorResult:
    now, rows = given.now, blocks.height(log.lazy())
    views = release.contract.get("entity_features", [])
    judged = rows >= limits.drift.min_rows
    features, columns, error = _compared(release, log, views, limits, scratch)
    rose = pl.col("share") - pl.col("expected") > limits.missing.most_rise
    result = MonitorResult(
        release,
        now,
        given.since,
        now,
        rows,
        error,
        judged,
        features.with_columns(*_drifted(error, judged, limits)),
        columns.with_columns(_if(judged, rose & (pl.col("p_value") <= error)).alias("rose")),
        inputs.violations(_rows_in_blocks(log), release.contract["columns"]),
        inputs.check_freshness(
            now,
            limits.freshness,
            release.manifest,
            given.newest,
            release.contract["time"] is not None,
        )
        | inputs.store_ages(views, given.stored or {}, now),
        inputs.entity_features(log.lazy(), views),
        _quality_of(earlier, given.known, release, limits, settings, scratch),
        settings["score"]["metric"],
        limits,
        [
            *given.known.problems,
            *inputs.of_another_time(given.other_times, limits.missing.most_rise),
        ],
    )
    result.problems.extend(problems(result))
    result.problems.extend(_unit_changes(result, earlier))
    return result


def _unit_changes(result: MonitorResult, log: LoggedRows) -> Iterator[str]:
    """Name drifted columns whose unit has changed, and how training leaves out the rows before."""
    drifted = result.drift.filter(pl.col("drifted") & (pl.col("kind") == "number"))["feature"]
    for name in drifted.to_list():
        if name == drift.PREDICTION:
            continue
        known = result.release.reference[name].cast(pl.Float64).drop_nulls().drop_nans().to_numpy()
        found = find_unit_change(known, *_by_day(log, name))
        if found:
            yield (
                f"`{name}` is {found}: if its unit changed, convert the rows in load(), or leave out "
                f'those from before under [split] in params.toml: `begins = "{found.since}"  # {name}`'
            )


def _by_day(log: LoggedRows, feature: str) -> tuple[np.ndarray, Iterator[tuple[date, float]]]:
    """Read the newest fifth of the values of a feature, and the median of each day, newest first."""
    value = pl.col("features").struct.field(feature).cast(pl.Float64, strict=False)
    values = log.lazy().select("time", value.alias("value")).filter(pl.col("value").is_finite())
    counts = values.group_by(day=pl.col("time").dt.date()).len().collect(engine="streaming")
    days = counts.sort("day", descending=True)["day"].to_list()

    def of_day(day: date) -> pl.Series:
        begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
        rows = values.filter(prediction_log.within(begin, begin + timedelta(days=1)))
        return rows.collect(engine="streaming").sort("time")["value"]

    number, newest = max(LEAST, int(counts["len"].sum()) // 5), pl.Series(dtype=pl.Float64)
    for day in days:
        if len(newest) < number:
            newest = pl.concat([of_day(day), newest])
    medians = ((day, float(np.median(of_day(day).to_numpy()))) for day in days)
    return newest.tail(number).to_numpy(), medians


def _compared(
    release: Released,
    log: LoggedRows,
    views: Sequence[Mapping[str, Any]],
    limits: Limits,
    scratch: Path | None,
) -> tuple[pl.DataFrame, pl.DataFrame, float]:
    """Compare features and defaulted columns with training.

    Returns:
        The features, the columns, and the error left to each test.
    """
    rows, reference = log.lazy(), release.reference
    fields = _fields(rows, "features")
    names = [name for name in reference.columns if name in fields and name != drift.PREDICTION]
    window = log.in_blocks(*(fields[name] for name in names), pl.col(drift.PREDICTION))
    drifts = drift.compare(reference, window, scratch)
    contract, shares = release.contract["columns"], inputs.trained_shares(views)
    columns = inputs.defaulted(rows, contract, reference, shares)
    p_values = [drifts["p_value"], drifts["missing_p_value"], columns["p_value"]]
    tests = sum(each.count() for each in p_values)
    return drifts, columns, limits.drift.false_alarms / max(1, tests)


def _fields(log: pl.LazyFrame, column: str) -> dict[str, pl.Expr]:
    """Return the fields of `row` or `features` by name."""
    kind = log.collect_schema()[column]
    fields = kind.fields if isinstance(kind, pl.Struct) else []
    return {each.name: pl.col(column).struct.field(each.name) for each in fields}


def _rows_in_blocks(log: LoggedRows) -> Iterable[pl.DataFrame]:
    fields = _fields(log.lazy(), "row").values()
    return log.in_blocks(*fields) if fields else ()


def _quality_of(
    log: LoggedRows,
    known: Outcomes,
    release: Released,
    limits: Limits,
    settings: Mapping[str, Any],
    scratch: Path | None,
) -> pl.DataFrame:
    nothing = pl.DataFrame(schema=quality.SCHEMA)
    rows = blocks.height(log.lazy())
    if not rows:
        return nothing
    score = cache(release.score)  # imported once there is something to score
    slices, kind = settings.get("report", {}).get("slices", []), kind_in(release.contract)
    measured = QualityMetric(
        lambda truth, predicted: score()(truth, predicted),
        settings["score"]["metric"],
        settings["score"]["higher_is_better"],
        release.metrics,
        release.slices,
        slices,
        release.manifest["task"] == "classification",
        settings["seed"],
        kind,
    )
    needed = ("id", "time", *packed(kind).meta.root_names())
    parts = (
        _part(log.lazy(), name, {*release.contract["key"], *slices}) for name in ("row", "features")
    )
    blocks_of_log = log.in_blocks(*map(pl.col, needed), *parts)
    joined = (
        outcomes.join_blocks(blocks_of_log, rows, known, scratch)
        if scratch
        else (outcomes.join(block, known) for block in blocks_of_log)
    )
    table = quality.judge(joined, measured, limits)
    return table if table["outcomes"].sum() else nothing


def _part(log: pl.LazyFrame, column: str, names: Collection[str]) -> pl.Expr:
    """Take some of the fields of `row` or `features`."""
    fields = [field for name, field in _fields(log, column).items() if name in names]
    return (pl.struct(fields) if fields else pl.lit(None)).alias(column)


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
    reference: np.ndarray, newest: np.ndarray, medians: Iterable[tuple[date, float]]
) -> UnitChange | None:
    """Compare the newest values with training; None if no known factor fits all quantiles.

    Args:
        medians: of each day, the newest first.
    """
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
                return UnitChange(factor, units, _since(reference, medians, factor))
    return None


def _since(reference: np.ndarray, medians: Iterable[tuple[date, float]], factor: float) -> date:
    """Find the first day from which on each day's median lies nearer to what it is now."""
    middle = float(np.median(reference))
    since = None
    for day, median in medians:
        since = since or day
        if abs(median - middle) < abs(median - factor * middle):
            break
        since = day
    assert since
    return since
