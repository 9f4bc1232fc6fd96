"""Fill in entity features: a value that the caller leaves out comes from the store, else the default.

The store is swapped while the service runs, and is never a reason to fail.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from rung_ops.contract.forecast import words
from rung_ops.features import point_in_time, store, stores
from rung_ops.features.point_in_time import CADENCES, clock
from rung_ops.features.store import (
    FeatureStore,
    FeatureStoreError,
    LookupResult,
    StoreUnreachableError,
)
from rung_ops.model.entity_feature import ticks
from rung_ops.model.rows import Missing, Reader, Refusal, Table, wrong_column
from rung_ops.project.service_settings import OtherTime
from rung_ops.serving.metrics import counted

LOG = logging.getLogger("service")


class RowTime(NamedTuple):
    """What decides which time a row needs an entity feature of; spans are in microseconds."""

    column: str  # of the row, which the lead counts from
    lead: int  # how long before it the prediction is made
    cadence: int  # how often the store is filled; the time of the prediction is rounded down to it
    zone: str  # of times without a zone
    older: int  # how far the store may be from the time that a row needs
    newer: int  # the same, where it is ahead

    def needed(self, rows: pl.DataFrame) -> np.ndarray:
        """Return the time that each row needs, by the clock of its column; of no use where that is null."""
        times = rows[self.column]
        if isinstance(times.dtype, pl.Datetime) and times.dtype.time_unit == "us":
            moments = times.to_physical()  # without a query, which takes as long as the look-up
        else:
            moments = rows.select(clock(pl.col(self.column), times.dtype)).to_series()
        made = (moments.fill_null(0) if moments.null_count() else moments).to_numpy() - self.lead
        return made // self.cadence * self.cadence

    def stored(self, rows: pl.DataFrame, as_of: int) -> int:
        """Return what the store is of, by the clock of the column; as_of is UTC."""
        kind = rows.schema[self.column]
        is_zoned = isinstance(kind, pl.Datetime) and kind.time_zone is not None
        return as_of if is_zoned else _local(as_of, self.zone)

    def differs(self, rows: pl.DataFrame, as_of: int) -> np.ndarray:
        """Tell which rows need another time than the store has, shape (n_rows,).

        A row whose time is missing does, as what it needs is unknown.
        """
        ahead = self.needed(rows) - self.stored(rows, as_of)
        differs = (ahead > self.older) | (ahead < -self.newer)
        times = rows[self.column]
        return differs | times.is_null().to_numpy() if times.null_count() else differs


def times_of(view: Mapping[str, Any]) -> list[RowTime | None]:
    """Read which time rows need each feature of, from a view of a release's contract.

    None where it is not a forecast, or a release of an earlier library does not say it.
    """
    return [_time_of(view, feature) if feature.get("at") else None for feature in view["features"]]


def _time_of(view: Mapping[str, Any], feature: Mapping[str, Any]) -> RowTime:
    cadence, max_age = _ticks(view["cadence_seconds"]), feature["max_age_seconds"]
    older = CADENCES * cadence if max_age is None else _ticks(max_age)
    # A newer value may contain what the forecast predicts, so no max_age allows more of that.
    newer = min(older, CADENCES * cadence)
    lead = _ticks(feature["lead_seconds"])
    return RowTime(feature["at"], lead, cadence, view["zone"], older, newer)


def _ticks(seconds: float) -> int:
    return ticks(timedelta(seconds=seconds))


@lru_cache(maxsize=64)
def _local(moment: int, zone: str) -> int:
    """Return what the clock of a zone shows at a time in UTC; of Polars, as images lack tzdata."""
    time = pl.Series([moment]).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(zone)
    return int(time.dt.replace_time_zone(None).to_physical()[0])


class LookedUpView(NamedTuple):
    """A view of a release."""

    id: str  # as in the store
    entity: list[str]  # columns that name the entity
    names: list[str]  # of the features, in the order of their values
    max_ages: list[float | None]  # in seconds; None for no limit
    # Which time rows need each feature of; empty where nothing says it.
    times: Sequence[RowTime | None] = ()

    @property
    def label(self) -> str:
        """The names of the entity's columns, for people."""
        return ",".join(self.entity)


class Stored(NamedTuple):
    """What the store has of a view."""

    # For each key, shape (n_keys, n_features); NaN for no value, or a stale one.
    numbers: np.ndarray
    # What they are of, in microseconds since 1970, UTC; None where the store failed.
    as_of: int | None


KeysByView = Sequence[tuple[LookedUpView, Sequence[bytes]]]  # keys of entities


class EntityLookup:
    """Fills in the entity features of one release."""

    def __init__(
        self, contract: Mapping[str, Any], reader: Reader, other_time: OtherTime = "refuse"
    ) -> None:
        """Prepare the features; refuse a store that lacks their values as the release declares them."""
        described = contract["entity_features"]
        self.online = online_store()
        self.online.refuse_unless_filled(described)
        self.views = [
            LookedUpView(
                view["id"],
                view["entity"],
                [feature["name"] for feature in view["features"]],
                [feature["max_age_seconds"] for feature in view["features"]],
                times if any(times := times_of(view)) else (),
            )
            for view in described
        ]
        self._other_time = other_time
        # A forecast that does not say which time its rows need.
        is_timed = any(view.times for view in self.views)
        self._is_silent = bool(contract.get("forecast")) and not is_timed
        self._defaults = {column.name: column.default for column in reader.columns}
        self._order = list(self._defaults)
        self._times = [column for column in reader.columns if column.family in ("date", "datetime")]

    def fill(self, table: Table, is_shared: bool = False) -> Table:
        """Fill in what rows leave out; `missing` names what has the default still.

        Columns that are looked up may be left out where no row has a value of them. `is_shared`: the rows
        are of several requests, which are filled one by one after a refusal.
        """
        frame, missing = table.frame, dict(table.missing)
        sent = _sent(table, [name for view in self.views for name in view.names])
        # Of a view that the caller sent something of, the rows that lack something; of others all.
        rows = {
            view.id: sorted({row for name in view.names for row in missing.get(name, ())})
            if any(name in sent for name in view.names)
            else None
            for view in self.views
        }
        queried = [view for view in self.views if rows[view.id] != []]
        keys = [self._keys(view, frame, rows[view.id]) for view in queried]
        stored = self.online.look_up(list(zip(queried, keys, strict=True))) if queried else []
        series: list[pl.Series] = []
        for view, found in zip(queried, stored, strict=True):
            some = rows[view.id]
            other = _of_another_time(view, frame, some, missing, found.as_of)
            if other is not None and other.any():
                if self._other_time == "refuse":
                    if not is_shared:
                        self.online.times.add(view.label, other, "refused")
                    raise _refusal(view, frame, some, other, found.as_of or 0)
            numbers = self._timely(view, found.numbers, other)
            if some is None:
                series += self._columns(view, numbers, missing)
            else:
                series += _scattered(view, frame, some, numbers, missing)
        in_order = {name: missing[name] for name in self._order if name in missing}
        return Table(self._with(frame, series), in_order, sent or None)

    def problems(self) -> Iterator[str]:
        """Say what is wrong between the rows and the store."""
        if self._is_silent:
            yield (
                "the release does not say which time its rows need entity features of, so they are "
                "not compared with the feature store: release it again"
            )
        yield from self.online.problems()

    def answerable(self, example: dict[str, Any]) -> dict[str, Any]:
        """Move the times of an example row to where the store has what the row needs."""
        for view in self.views:
            needs = next((each for each in view.times if each and example[each.column]), None)
            if needs is None:
                continue
            key = store.key_of([example[name] for name in view.entity])
            as_of = self.online.look_up([(view, [key])])[0].as_of
            if as_of is None:
                continue
            at = pl.DataFrame({needs.column: [datetime.fromisoformat(example[needs.column])]})
            by = timedelta(microseconds=needs.stored(at, as_of) - int(needs.needed(at)[0]))
            moved = {
                column.name: _moved(example[column.name], by, column.family)
                for column in self._times
                if example[column.name]
            }
            return example | moved
        return example

    def complete(self, rows: pl.DataFrame, known: Collection[str]) -> pl.DataFrame:
        """Add the features to rows of another release, which have those of the `known` views."""
        queried = [view for view in self.views if view.id not in known]
        if not queried:
            return rows
        stored = self.online.look_up([(view, self._keys(view, rows, None)) for view in queried])
        series: list[pl.Series] = []
        for view, found in zip(queried, stored, strict=True):
            # No caller is answered here, so nothing can be refused.
            other = _of_another_time(view, rows, None, {}, found.as_of)
            series += self._columns(view, self._timely(view, found.numbers, other), {})
        return rows.with_columns(series)

    def _timely(
        self, view: LookedUpView, numbers: np.ndarray, other: np.ndarray | None
    ) -> np.ndarray:
        """Take out the values that are of another time than rows need; count the rows."""
        if other is None:
            return numbers
        self.online.times.add(view.label, other, "default")
        return np.where(other, np.nan, numbers) if other.any() else numbers

    @staticmethod
    def _keys(view: LookedUpView, frame: pl.DataFrame, rows: list[int] | None) -> list[bytes]:
        columns = [frame[name] for name in view.entity]
        some = columns if rows is None else [column[rows] for column in columns]
        return store.keys_of(column.to_list() for column in some)

    def _columns(
        self, view: LookedUpView, numbers: np.ndarray, missing: Missing
    ) -> list[pl.Series]:
        """Make the columns of a view of what was found for all rows, shape (n_rows, n_features)."""
        by_feature = np.array(numbers.T, order="C")
        absent = np.isnan(by_feature)
        for name in view.names:
            missing.pop(name, None)
        if absent.any():
            for name, values, where in zip(view.names, by_feature, absent, strict=True):
                if where.any():
                    missing[name] = where.nonzero()[0].tolist()
                    if self._defaults[name] is not None:
                        values[where] = self._defaults[name]
        # One series, cut: to make one for each feature takes several times as long.
        flat, height = pl.Series(by_feature.ravel(), nan_to_null=True), len(numbers)
        return [
            flat.slice(number * height, height).alias(name)
            for number, name in enumerate(view.names)
        ]

    def _with(self, frame: pl.DataFrame, series: list[pl.Series]) -> pl.DataFrame:
        """Put columns into a frame, in the order of the contract."""
        if not series:
            return frame
        if frame.width + len(series) > len(self._order):
            return frame.with_columns(series)
        whole = frame.hstack(series)
        return whole if whole.columns == self._order else whole[self._order]


def _moved(written: str, by: timedelta, family: str) -> str:
    moved = datetime.fromisoformat(written) + by
    return (moved.date() if family == "date" else moved).isoformat()


def _sent(table: Table, names: Sequence[str]) -> Missing:
    """Find the rows whose caller sent a value that is looked up."""
    frame, missing = table.frame, table.missing
    if names[0] not in frame.columns:
        return {}
    return {
        name: sorted({*range(frame.height)}.difference(missing.get(name, ())))
        for name in names
        if len(missing.get(name, ())) < frame.height
    }


def _of_another_time(
    view: LookedUpView,
    frame: pl.DataFrame,
    rows: list[int] | None,
    missing: Missing,
    as_of: int | None,
) -> np.ndarray | None:
    """Tell which values are of another time than their rows need, shape (n_rows, n_features).

    None where nothing can be compared. `rows` are the numbers of those that were looked up, None for
    all; `missing`, which of them the caller sent no value for.
    """
    if as_of is None or not view.times:
        return None
    some = frame if rows is None else frame[rows]
    differs = {time: time.differs(some, as_of) for time in {*view.times} if time is not None}
    fine = np.zeros(some.height, bool)
    columns = [fine if time is None else differs[time] for time in view.times]
    if rows is not None:
        columns = [
            column & np.isin(rows, missing.get(name, ()))
            for name, column in zip(view.names, columns, strict=True)
        ]
    return np.column_stack(columns)


def _refusal(
    view: LookedUpView, frame: pl.DataFrame, rows: list[int] | None, other: np.ndarray, as_of: int
) -> Refusal:
    """Return the refusal of the first row that needs a value of another time."""
    place, feature = np.argwhere(other)[0].tolist()
    row = place if rows is None else rows[place]
    time = view.times[feature]
    assert time is not None  # else nothing differs
    is_known = frame[time.column][row] is not None
    needed = point_in_time.shown(time.needed(frame[row])[0])
    when = f"as of {needed}" if is_known else f"as of its own time, and `{time.column}` is missing"
    older, newer = (words(timedelta(microseconds=span)) for span in (time.older, time.newer))
    return wrong_column(
        row + 1,
        time.column,
        f"the forecast needs `{view.names[feature]}` {when}, and the feature store has it as of "
        f"{point_in_time.shown(time.stored(frame, as_of))}; it may be {older} older or {newer} newer",
    )


def _scattered(
    view: LookedUpView, frame: pl.DataFrame, rows: list[int], numbers: np.ndarray, missing: Missing
) -> list[pl.Series]:
    """Put what was found for some rows into the columns that lack it."""
    filled: list[pl.Series] = []
    for place, name in enumerate(view.names):
        at = np.array(missing.get(name, ()), np.int64)
        values = numbers[np.searchsorted(rows, at), place]
        known = ~np.isnan(values)
        if known.any():
            filled.append(frame[name].scatter(at[known], values[known]))
            missing[name] = at[~known].tolist()
            if not missing[name]:
                del missing[name]
    return filled


class OnlineStore:
    """Reads the store for all releases of this process, and counts.

    Where it cannot be read, it has no values: that is logged once, and counted.
    """

    def __init__(self, opened: FeatureStore) -> None:
        self._store = opened
        self._as_of: Mapping[str, int] = {}
        self._failing = False
        self._lock = threading.Lock()  # a shadow reads it in a separate thread
        self._counts: Counter[tuple[str, str]] = Counter()
        self._labels: dict[str, str] = {}
        self.times = RowTimes()  # counts the rows that needed features of another time

    def refuse_unless_filled(self, described: Sequence[dict[str, Any]]) -> None:
        """Refuse to look up what the store was not filled with; a server that is down refuses nothing."""
        with self._lock:
            try:
                store.refuse_unless_filled(described, self._store)
            except StoreUnreachableError as error:
                # Another process of the service would answer with defaults; a new one does so, too.
                self._log_once(error)

    def look_up(self, queried: KeysByView) -> list[Stored]:
        """Read the values of entities of several views, in one round trip."""
        distinct = {view.id: list(dict.fromkeys(keys)) for view, keys in queried}
        stored: list[Stored] = []
        with self._lock:
            error = None
            try:
                features = self._store.look_up(distinct)
                self._as_of = features.as_of
                for view, keys in queried:
                    numbers = self._numbers(view, keys, distinct[view.id], features)
                    stored.append(Stored(numbers, features.as_of[view.id]))
            except FeatureStoreError as raised:
                error = raised
            for view, keys in queried[len(stored) :]:
                self._counts[view.label, "failed"] += len(distinct[view.id])
                stored.append(Stored(np.full((len(keys), len(view.names)), np.nan), None))
            self._labels |= {view.id: view.label for view, _ in queried}
            self._log_once(error)
        return stored

    def metrics(self) -> Iterator[Metric]:
        """Return what was looked up, and how old it is; nothing before the first look-up."""
        if not self._labels:
            return
        yield counted(
            "service_entity_lookups",
            "Entities looked up in the feature store, by what became of them: found, missing, "
            "stale (older than max_age), failed (the store could not be read).",
            BY_OUTCOME,
            dict(sorted(self._counts.items())),
        )
        yield GaugeMetricFamily(
            "service_feature_store_readable",
            "1 if the last look-up could read the feature store, else 0.",
            value=float(not self._failing),
        )
        ages = GaugeMetricFamily(
            "service_entity_features_age_seconds",
            "Time since the moment that the values in the feature store are of.",
            labels=["entity"],
        )
        now = time.time()
        for identity, label in sorted(self._labels.items()):
            if identity in self._as_of:
                ages.add_metric([label], now - self._as_of[identity] / 1e6)
        yield ages
        yield from self.times.metrics()

    def problems(self) -> Iterator[str]:
        """Say which rows of the last minutes needed features of another time."""
        for label, counts in self.times.recent().items():
            became = " and ".join(
                f"{counts[outcome]:,} {did}" for outcome, did in DID.items() if counts[outcome]
            )
            yield (
                f"in the last {RECENT} minutes {counts['refused'] + counts['default']:,} of "
                f"{counts['rows']:,} rows needed entity features ({label}) of another time than that "
                f"of the feature store: {became}"
            )

    def _numbers(
        self,
        view: LookedUpView,
        keys: Sequence[bytes],
        distinct: list[bytes],
        features: LookupResult,
    ) -> np.ndarray:
        """Unpack the values of a view in the order of the keys, and count them."""
        if view.id not in features.packed:
            raise FeatureStoreError(f"the store has no values of {', '.join(view.names)}")
        packed = features.packed[view.id]
        size = len(view.names) * store.NUMBERS.itemsize
        none = _nothing(len(view.names))
        filled = [none if value is None else value for value in packed]
        if any(len(value) != size for value in filled):
            raise FeatureStoreError("a value in the store has another length than its view")
        age = time.time() - features.as_of[view.id] / 1e6
        stale = [limit is not None and age > limit for limit in view.max_ages]
        absent = packed.count(None)
        became = {"found": len(packed) - absent, "missing": absent}
        if all(stale):
            became = {"found": 0, "stale": len(packed)}
        for outcome, number in became.items():
            self._counts[view.label, outcome] += number
        if len(distinct) != len(keys):
            by_key = dict(zip(distinct, filled, strict=True))
            filled = [by_key[key] for key in keys]
        numbers = np.frombuffer(b"".join(filled), store.NUMBERS).reshape(len(keys), -1)
        return np.where(stale, np.nan, numbers) if any(stale) else numbers

    def _log_once(self, error: FeatureStoreError | None) -> None:
        if error is not None and not self._failing:
            LOG.error("Entity features get their defaults: %s", error)
        self._failing = error is not None


RECENT = 10  # minutes
MOST_MINUTES = 1_000  # counts that are kept before old ones are dropped
BY_OUTCOME = ["entity", "outcome"]  # labels
DID = {"refused": "were refused", "default": "got the default"}


class RowTimes:
    """Counts rows of forecasts by day and minute, and those that needed features of another time.

    A shadow counts in a thread of its own, and the event loop and the prediction log read.
    """

    def __init__(self) -> None:
        self._days: Counter[tuple[str, str, str]] = Counter()
        self._minutes: Counter[tuple[int, str, str]] = Counter()
        self._lock = threading.Lock()

    def add(self, label: str, other: np.ndarray, outcome: str) -> None:
        """Count rows."""
        day, minute = time.strftime("%Y-%m-%d", time.gmtime()), int(time.time() // 60)
        counts = {"rows": len(other), outcome: int(other.any(axis=1).sum())}
        with self._lock:
            if len(self._minutes) > MOST_MINUTES:
                self._minutes = Counter(
                    {key: n for key, n in self._minutes.items() if key[0] > minute - RECENT}
                )
            for what, number in counts.items():
                self._days[day, label, what] += number
                self._minutes[minute, label, what] += number

    def recent(self) -> dict[str, Counter[str]]:
        """Return the counts of the last minutes by view, of views of which a row needed another time."""
        since = int(time.time() // 60) - RECENT
        found: dict[str, Counter[str]] = {}
        with self._lock:
            for (minute, label, what), number in self._minutes.items():
                if minute > since:
                    found.setdefault(label, Counter())[what] += number
        return {label: each for label, each in found.items() if each["refused"] + each["default"]}

    def by_day(self) -> dict[str, dict[str, dict[str, int]]]:
        """Return the counts by day and view; empty while no row needed another time."""
        days: dict[str, dict[str, dict[str, int]]] = {}
        with self._lock:
            if any(n for (_, _, what), n in self._days.items() if what != "rows"):
                for (day, label, what), number in self._days.items():
                    days.setdefault(day, {}).setdefault(label, {})[what] = number
        return days

    def metrics(self) -> Iterator[Metric]:
        """Return the rows that needed features of another time; nothing where none is a forecast."""
        counts: Counter[tuple[str, str]] = Counter()
        with self._lock:
            for (_, label, what), number in self._days.items():
                counts[label, what] += number
        if not counts:
            return
        labels = sorted({label for label, _ in counts})
        yield counted(
            "service_entity_rows_of_another_time",
            "Rows of forecasts that needed entity features of another time than that of the feature "
            "store, by what became of them: refused, or default.",
            BY_OUTCOME,
            {(label, outcome): counts[label, outcome] for label in labels for outcome in DID},
        )


@cache
def _nothing(features: int) -> bytes:
    return np.full(features, np.nan, store.NUMBERS).tobytes()


@cache
def online_store() -> OnlineStore:
    """Return this process's reader of the project's store."""
    return OnlineStore(stores.project_store())
