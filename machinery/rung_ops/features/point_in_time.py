"""Compute entity features as they were known at a time: no row sees more than the service would.

One row goes in, one row comes out. The time of a row is rounded down to the cadence, as the store
holds no newer values, and events in [time - window, time) count that were known at that time.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from rung_ops.features import sources
from rung_ops.features.sources import EntityFeatureError, Events, raw_rows
from rung_ops.model.entity_feature import EntityFeature, RemoteEvents, ticks
from rung_ops.system.printable import counted, printable

# Aggregates of a single column: what they give does not depend on the order of the events.
OF_COLUMN: dict[str, Callable[[pl.Expr], pl.Expr]] = {
    "count": pl.Expr.count,
    "max": pl.Expr.max,
    "mean": pl.Expr.mean,
    "min": pl.Expr.min,
    "sum": pl.Expr.sum,
}


def aggregate_of_column(aggregate: pl.Expr) -> tuple[str, str] | None:
    """Name an aggregate and its column; `len` has none. None for any other expression."""
    plain = aggregate.meta.undo_aliases()
    if plain.meta.eq(pl.len()):
        return "len", ""
    names = plain.meta.root_names()
    if len(names) != 1:
        return None
    column = pl.col(names[0])
    return next(((k, names[0]) for k, of in OF_COLUMN.items() if plain.meta.eq(of(column))), None)


def join(
    rows: pl.DataFrame,
    declared: Sequence[EntityFeature] | None = None,
    with_defaults: bool = True,
    events: Events | None = None,
) -> pl.DataFrame:
    """Add the columns of entity features to rows, in their order.

    Args:
        rows: columns of Row, shape (n_rows, n_columns); columns named as a feature are replaced.
        declared: the features; by default those of features.py. Without any, `rows` is returned.
        with_defaults: put the default where there is no value; null otherwise, see fill_defaults().
        events: read before; they are read now by default.

    Returns:
        Shape (n_rows, n_columns + n_features): float64, null if the default is None.

    Raises:
        EntityFeatureError: one of them cannot be computed.
    """
    from rung_ops import contract
    from rung_ops.project import current

    declared = contract.ENTITY_FEATURES if declared is None else declared
    if not declared:
        return rows
    features = [of_forecast(each) for each in declared]
    if not with_defaults:
        features = [replace(each, default=None) for each in features]
    return joined(rows, features, contract.TIME, current().root, events)


def needed_times(rows: pl.DataFrame) -> pl.DataFrame:
    """Count rows by entity feature and by the time as of which they need it; for beyond_events()."""
    from rung_ops import contract

    schema = contract.Row.to_schema().columns
    counts = [pl.DataFrame(schema={FEATURE: pl.String, AS_OF: pl.Int64, NUMBER: pl.UInt32})]
    for feature in map(of_forecast, contract.ENTITY_FEATURES):
        names = [n for n in dict.fromkeys((*feature.entity, feature.at)) if n in rows.columns]
        typed = rows.select(pl.col(n).cast(schema[n].dtype.type, strict=False) for n in names)
        times = as_of(typed, feature, feature.at)[AS_OF].value_counts(name=NUMBER)
        counts.append(times.select(pl.lit(feature.name).alias(FEATURE), AS_OF, NUMBER))
    return pl.concat(counts)


def beyond_events(needed: pl.DataFrame, events: Events) -> Iterator[str]:
    """Say which rows, counted by needed_times(), are long after the newest event of an entity feature.

    Such a window is not full: the value is there, and not the one that training would have seen.
    """
    from rung_ops import contract

    for feature in map(of_forecast, contract.ENTITY_FEATURES):
        newest = _newest(events, feature)
        if newest is None:
            continue  # no row has a value
        times = needed.filter(pl.col(FEATURE) == feature.name)
        late = times.filter(pl.col(AS_OF) - newest > CADENCES * ticks(feature.cadence))
        if late.height:
            yield (
                f"{late[NUMBER].sum():,} of {counted(int(times[NUMBER].sum()), 'row')} need "
                f"`{feature.name}` as of up to {shown(late[AS_OF].to_numpy().max())}, and its newest event "
                f"is of {shown(newest)}: the windows of these rows are not full."
            )


def _newest(events: Events, feature: EntityFeature) -> int | None:
    if isinstance(feature.source, RemoteEvents):
        with _named([feature]):
            return feature.source.newest(feature)
    frame = read(events, feature)
    time = clock(pl.col(feature.time), frame.collect_schema()[feature.time])
    newest: int | None = frame.select(time.max()).collect(engine="streaming").item()
    return newest


def is_zoned(events: Events, feature: EntityFeature) -> bool:
    """Tell whether the times of a feature's events have a zone."""
    if isinstance(feature.source, RemoteEvents):
        with _named([feature]):
            return feature.source.is_zoned(feature)
    kind = read(events, feature).collect_schema()[feature.time]
    return isinstance(kind, pl.Datetime) and kind.time_zone is not None


def fill_defaults(rows: pl.DataFrame) -> pl.DataFrame:
    """Put the defaults of features.py where an entity feature of joined rows has no value."""
    from rung_ops import contract

    return rows.with_columns(
        pl.col(each.name).fill_null(_default(each)) for each in contract.ENTITY_FEATURES
    )


def of_forecast(feature: EntityFeature) -> EntityFeature:
    """Give a feature the moment of a forecast, where it declares no other: ORIGIN, or HORIZON before TIME."""
    from rung_ops import contract

    at = feature.at or contract.ORIGIN or contract.TIME
    lead = feature.lead
    if lead is None and at == contract.TIME:
        lead = contract.HORIZON
    return replace(feature, at=at, lead=lead)


def joined(
    rows: pl.DataFrame,
    declared: Sequence[EntityFeature],
    time: str | None,
    root: Path,
    events: Events | None = None,
) -> pl.DataFrame:
    """Add the columns of entity features to rows; see join()."""
    names = _feature_names(declared)
    rows = rows.drop(names, strict=False)
    events = events or Events(root)
    groups: dict[tuple[object, ...], list[EntityFeature]] = defaultdict(list)
    for feature in declared:
        key = (feature.entity, feature.cadence, feature.lead, feature.at or time)
        groups[key].append(feature)
    for features in groups.values():
        first = features[0]
        wanted = as_of(rows, first, first.at or time)
        moments = wanted.unique(maintain_order=True)
        values = computed(moments, features, events, _zoned(rows, first.at or time))
        matched = wanted.join(
            values, on=wanted.columns, how="left", nulls_equal=True, maintain_order="left"
        )
        assert matched.height == rows.height, "each moment is there once"
        filled = (pl.col(each.name).fill_null(_default(each)) for each in features)
        rows = rows.hstack(matched.select(filled))
    return rows.select([*(name for name in rows.columns if name not in names), *names])


def computed(
    moments: pl.DataFrame,
    features: Sequence[EntityFeature],
    events: Events,
    is_zoned: bool | None = None,
) -> pl.DataFrame:
    """Compute features of the same entity at moments; null where there is no value.

    Args:
        moments: the entity's columns and AS_OF, without repeated rows, shape (n_moments, n_keys + 1).
        features: all of the same entity.
        events: their sources.
        is_zoned: whether the moments are those of a clock with a zone; None if that is not known.
    """
    computed_rows = moments.with_row_index(KEY)
    for of_pass in _passes(features):
        if isinstance(remote := of_pass[0].source, RemoteEvents):
            with _named(of_pass):
                found = remote.computed(moments, of_pass, is_zoned, events.is_sample)
            computed_rows = computed_rows.join(
                found, on=moments.columns, how="left", nulls_equal=True, maintain_order="left"
            )
            continue
        frame = read(events, of_pass[0])
        with _named(of_pass):
            keyed = computed_rows.select(KEY, *moments.columns)
            parts = [
                part
                for some, their_events in _shares(keyed, frame, of_pass)
                for part in aggregated(
                    some, ordered(their_events, of_pass[0], moments, is_zoned), of_pass
                )
            ]
        if parts:
            computed_rows = computed_rows.join(
                pl.concat(parts), on=KEY, how="left", maintain_order="left"
            )
        else:
            computed_rows = computed_rows.with_columns(
                pl.lit(None, pl.Float64).alias(each.name) for each in of_pass
            )
    return computed_rows.sort(KEY).select(*moments.columns, *_finite(features))


def of_all_entities(
    moment: int,
    features: Sequence[EntityFeature],
    events: Events,
    types: Mapping[str, pl.DataType],
    is_zoned: bool,
) -> pl.DataFrame:
    """Compute features at a moment, in microseconds, of each entity that has events in a window.

    Args:
        types: of the entity's columns.

    Returns:
        Shape (n_entities, n_keys + n_features), in the order of the entity; null where there is no value.
    """
    entity = list(features[0].entity)
    values = pl.DataFrame(schema={name: types[name] for name in entity})
    for of_pass in _passes(features):
        if isinstance(remote := of_pass[0].source, RemoteEvents):
            with _named(of_pass):
                found = remote.of_all_entities(moment, of_pass, types)
            values = values.join(found, on=entity, how="full", coalesce=True)
            continue
        frame = read(events, of_pass[0])
        with _named(of_pass):
            known = frame.with_columns(of_pass[0].known_at.alias(KNOWN))
            reached = within(known, of_pass[0], moment, moment)
            counted = clocked(reached, of_pass[0], types, is_zoned).filter(pl.col(KNOWN) <= moment)
            if all(aggregate_of_column(each.aggregate) for each in of_pass):
                # Whatever their order, so that events pass as a stream and none stays in memory.
                grouped = counted.group_by(entity).agg(_aggregates(of_pass))
                found = grouped.collect(engine="streaming")
            else:
                keys = counted.select(entity).unique().collect(engine="streaming")
                moments = keys.with_columns(pl.lit(moment, pl.Int64).alias(AS_OF))
                found = computed(moments, of_pass, events, is_zoned).drop(AS_OF)
        values = values.join(found, on=entity, how="full", coalesce=True)
    return values.sort(entity).select(*entity, *_finite(features))


def _passes(features: Sequence[EntityFeature]) -> Iterable[list[EntityFeature]]:
    """Group features whose windows hold the same events."""
    passes: dict[tuple[object, ...], list[EntityFeature]] = defaultdict(list)
    for feature in features:
        key = (feature.source, feature.time, str(feature.known_at), feature.window)
        passes[*key, _counts_outcomes(feature)].append(feature)
    return passes.values()


def _aggregates(features: Sequence[EntityFeature]) -> list[pl.Expr]:
    return [each.aggregate.cast(pl.Float64).alias(each.name) for each in features]


def _finite(features: Sequence[EntityFeature]) -> Iterator[pl.Expr]:
    """What is not finite is missing in training and in the store, so both give the default."""
    return (pl.when(pl.col(name).is_finite()).then(name) for name in _feature_names(features))


def _shares(
    moments: pl.DataFrame, events: pl.LazyFrame, features: Sequence[EntityFeature]
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Yield moments with the events that may count for them; of many events, some entities at a time."""
    first = features[0]
    # Before the filters: the expression may read other events, which must not depend on the moments.
    known = events.with_columns(first.known_at.alias(KNOWN))
    reached = within(known, first, moments[AS_OF].min(), moments[AS_OF].max())  # type: ignore[arg-type]
    reached = reached.select(*_columns_of(features, events), KNOWN)
    number = max(1, -(-sources.count(reached) // sources.MOST_EVENTS))
    if number == 1:
        yield moments, reached.collect(engine="streaming")
        return
    typed = [pl.col(n).cast(moments.schema[n], strict=False) for n in first.entity]
    share = pl.struct(typed).hash() % number
    for part in range(number):
        some = moments.filter(share == part)
        if some.height:
            yield some, reached.filter(share == part).collect(engine="streaming")


def within(
    events: pl.LazyFrame, feature: EntityFeature, first: int | None, last: int | None
) -> pl.LazyFrame:
    """Filter the events that may count at a moment from `first` to `last`, in microseconds."""
    if first is None or last is None:
        return events.head(0)
    kind = events.collect_schema()[feature.time]
    begin = first - ticks(feature.window)
    time = clock(pl.col(feature.time), kind)
    reached = events.filter(time >= begin, time < last)
    if (
        kind.is_temporal() and begin > 0
    ):  # in the type of the file, whose statistics leave parts out
        moment = pl.lit(begin, pl.Int64).cast(pl.Datetime("us", getattr(kind, "time_zone", None)))
        reached = reached.filter(pl.col(feature.time) >= moment.cast(kind))
    return reached


def _columns_of(features: Sequence[EntityFeature], events: pl.LazyFrame) -> list[str]:
    """Name the columns of events that aggregates read, and those of their entity and time."""
    columns = events.collect_schema().names()
    if any(feature.aggregate.meta.has_multiple_outputs() for feature in features):
        return columns
    roots = {name for feature in features for name in feature.aggregate.meta.root_names()}
    wanted = roots | {*features[0].entity, features[0].time}
    return [name for name in columns if name in wanted]


def read(events: Events, feature: EntityFeature) -> pl.LazyFrame:
    """Return the events of a feature."""
    with _named([feature]):
        frame = events.scan(feature)
    if not _counts_outcomes(feature):
        return frame
    # Imported here, as in raw_rows(): the service's image has no pandera.
    from rung_ops import contract
    from rung_ops.contract.row_checks import has_outcome

    # Else a sum of rows that are still to be predicted would be 0.
    schema = frame.collect_schema()
    return frame.filter(has_outcome(schema)) if contract.TARGET in schema else frame


def _counts_outcomes(feature: EntityFeature) -> bool:
    """Whether rows of the project without an outcome are no events of a feature."""
    from rung_ops import contract

    return feature.source is raw_rows and contract.TARGET in feature.aggregate.meta.root_names()


@contextmanager
def _named(features: Sequence[EntityFeature]) -> Iterator[None]:
    try:
        yield
    except EntityFeatureError:
        raise
    except Exception as error:  # source and expressions are the user's, and may raise anything
        names = ", ".join(f"`{feature.name}`" for feature in features)
        reason = printable(next(iter(str(error).strip().splitlines()), ""))
        raise EntityFeatureError(
            f"features.py: the entity feature {names} cannot be computed "
            f"({type(error).__name__}: {reason})."
        ) from error


def _feature_names(declared: Sequence[EntityFeature]) -> list[str]:
    return [feature.name for feature in declared]


def _default(feature: EntityFeature) -> pl.Expr:
    return pl.lit(feature.default, pl.Float64)


def _zoned(rows: pl.DataFrame, time: str | None) -> bool | None:
    kind = rows.schema[time] if time else None
    return kind.time_zone is not None if isinstance(kind, pl.Datetime) else None


def as_of(rows: pl.DataFrame, feature: EntityFeature, time: str | None) -> pl.DataFrame:
    """Give each row its entity and the time at which the store was filled last; shape (n_rows, n)."""
    if time is None:
        raise EntityFeatureError(
            f"features.py: the entity feature `{feature.name}` needs the time of a row: set TIME in "
            "dataset.py, or `at`."
        )
    if missing := [name for name in (*feature.entity, time) if name not in rows.columns]:
        raise EntityFeatureError(
            f"features.py: the entity feature `{feature.name}` reads `{missing[0]}`, which is not a "
            "column of the rows."
        )
    cadence = ticks(feature.cadence)
    floored = predicted_at(feature, time, rows.schema[time]) // cadence * cadence
    return rows.select(*feature.entity, floored.alias(AS_OF))


def predicted_at(feature: EntityFeature, time: str, kind: pl.DataType) -> pl.Expr:
    """Return when a row is predicted as far as a feature knows, in microseconds since 1970."""
    return clock(pl.col(time), kind) - ticks(feature.lead or timedelta())


# Values this many cadences away from what they should be of were not made for it.
CADENCES = 2
AS_OF = "__as_of"  # microseconds since 1970, of the clock of the events
FEATURE, NUMBER = "__feature", "__number"  # columns of needed_times()
TIME, KNOWN, ORDER, KEY = "__time", "__known", "__order", "__key"
MOST_PAIRS = 5_000_000  # of a moment and an event, in memory at a time


def shown(moment: int) -> str:
    """Write microseconds of a clock for people."""
    return datetime.fromtimestamp(moment / 1e6, UTC).strftime("%Y-%m-%dT%H:%M")


def clock(time: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """Count microseconds since 1970: in UTC where a time has a zone, else as the clock showed them."""
    if isinstance(kind, pl.Datetime):
        return time.dt.cast_time_unit("us").to_physical()
    return time.cast(pl.Datetime("us")).to_physical()


def ordered(
    events: pl.DataFrame, feature: EntityFeature, moments: pl.DataFrame, is_zoned: bool | None
) -> pl.DataFrame:
    """Order events, which have KNOWN, by entity and time, and number them; drop what never counts."""
    entity = list(feature.entity)
    return (
        clocked(events.lazy(), feature, moments.schema, is_zoned)
        .collect()
        .sort(*entity, TIME, maintain_order=True)
        .with_row_index(ORDER)
    )


def clocked(
    events: pl.LazyFrame,
    feature: EntityFeature,
    types: Mapping[str, pl.DataType],
    is_zoned: bool | None,
) -> pl.LazyFrame:
    """Cast the entity of events, which have KNOWN, and count their times; drop what never counts."""
    schema = events.collect_schema()
    kind, known = schema[feature.time], schema[KNOWN]
    refuse_other_zone(feature, (kind, known), is_zoned)
    return events.with_columns(
        *(pl.col(name).cast(types[name], strict=False) for name in feature.entity),
        clock(pl.col(feature.time), kind).alias(TIME),
        clock(pl.col(KNOWN), known),
    ).drop_nulls([*feature.entity, TIME, KNOWN])


def refuse_other_zone(
    feature: EntityFeature, kinds: Iterable[pl.DataType], is_zoned: bool | None
) -> None:
    """Refuse times of events that have a zone where that of a row has none, and the other way round."""
    for column in kinds:
        zoned = column.time_zone is not None if isinstance(column, pl.Datetime) else None
        if is_zoned is not None and zoned is not None and zoned != is_zoned:
            raise EntityFeatureError(
                f"features.py: the entity feature `{feature.name}`: of the time of a row and that "
                "of its events one has a time zone and the other has none; give both one, or none."
            )


def aggregated(
    moments: pl.DataFrame, events: pl.DataFrame, features: Sequence[EntityFeature]
) -> Iterator[pl.DataFrame]:
    """Aggregate the events of each moment's window; yield KEY and the features, where there are events."""
    entity = list(features[0].entity)
    window = ticks(features[0].window)
    stops = _before(moments, events, entity, 0)
    starts = _before(moments, events, entity, window)
    counts = stops - starts
    ends = np.cumsum(counts)
    events = events.select(*_read_by(features, events))
    keys, as_of = moments[KEY].to_numpy(), moments[AS_OF].fill_null(0).to_numpy()
    first = 0
    while first < len(keys):
        before = ends[first - 1] if first else 0
        last = max(int(np.searchsorted(ends, before + MOST_PAIRS, side="right")), first + 1)
        some = slice(first, last)
        repeated = np.repeat(np.arange(first, last), counts[some])
        offsets = np.arange(len(repeated)) - np.repeat(
            ends[some] - counts[some] - before, counts[some]
        )
        pairs = events[starts[repeated] + offsets].with_columns(
            pl.Series(KEY, keys[repeated]), pl.Series(AS_OF, as_of[repeated])
        )
        counted = pairs.filter(pl.col(KNOWN) <= pl.col(AS_OF))
        yield counted.group_by(KEY, maintain_order=True).agg(_aggregates(features))
        first = last


def _read_by(features: Sequence[EntityFeature], events: pl.DataFrame) -> list[str]:
    """Name the columns that the aggregates read, so that no other is copied for each window."""
    if any(feature.aggregate.meta.has_multiple_outputs() for feature in features):
        return events.columns
    roots = {name for feature in features for name in feature.aggregate.meta.root_names()}
    return [KNOWN, *sorted(roots - {KNOWN})]


def _before(
    moments: pl.DataFrame, events: pl.DataFrame, entity: list[str], back: int
) -> np.ndarray:
    """Find for each moment the first event of its entity that is not before moment - back.

    Numbers in the order of the events, shape (n_moments,); 0 for an entity without events.
    """
    firsts = events.group_by(entity).agg(pl.col(ORDER).min().cast(pl.Int64).alias("first"))
    left = moments.select(KEY, *entity, (pl.col(AS_OF) - back).alias(AS_OF)).sort(AS_OF)
    right = events.select(*entity, TIME, ORDER).sort(TIME, ORDER)
    last = left.join_asof(
        right,
        left_on=AS_OF,
        right_on=TIME,
        by=entity,
        strategy="backward",
        allow_exact_matches=False,
        check_sortedness=False,
    ).join(firsts, on=entity, how="left", maintain_order="left")
    after = pl.col(ORDER).cast(pl.Int64) + 1
    number = pl.coalesce(after, pl.col("first"), pl.lit(0)).alias(ORDER)
    return last.sort(KEY).select(number)[ORDER].to_numpy()
