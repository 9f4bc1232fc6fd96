"""Aggregate the events of the window that ends at each of many moments.

A moment is an entity's columns and AS_OF. An event counts in [AS_OF - window, AS_OF), where it was
known at AS_OF.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from rung_ops.features.errors import EntityFeatureError
from rung_ops.model.entity_feature import EntityFeature, ticks

AS_OF = "__as_of"  # microseconds since 1970, of the clock of the events
TIME, KNOWN, ORDER, KEY = "__time", "__known", "__order", "__key"
MOST_PAIRS = 5_000_000  # of a moment and an event, in memory at a time


def clock(time: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """Count microseconds since 1970: in UTC where a time has a zone, else as the clock showed them."""
    if isinstance(kind, pl.Datetime):
        return time.dt.cast_time_unit("us").to_physical()
    return time.cast(pl.Datetime("us")).to_physical()


def ordered(
    events: pl.DataFrame, feature: EntityFeature, moments: pl.DataFrame, is_zoned: bool | None
) -> pl.DataFrame:
    """Order events by entity and time, and number them; drop what never counts."""
    known = events.lazy().select(feature.known_at.alias(KNOWN)).collect_schema()[KNOWN]
    kind = events.schema[feature.time]
    for column in (kind, known):
        zoned = column.time_zone is not None if isinstance(column, pl.Datetime) else None
        if is_zoned is not None and zoned is not None and zoned != is_zoned:
            raise EntityFeatureError(
                f"features.py: the entity feature `{feature.name}`: of the time of a row and that "
                "of its events one has a time zone and the other has none; give both one, or none."
            )
    entity = list(feature.entity)
    return (
        events.with_columns(
            *(pl.col(name).cast(moments.schema[name], strict=False) for name in entity),
            clock(pl.col(feature.time), kind).alias(TIME),
            clock(feature.known_at, known).alias(KNOWN),
        )
        .drop_nulls([*entity, TIME, KNOWN])
        .sort(*entity, TIME, maintain_order=True)
        .with_row_index(ORDER)
    )


def aggregated(
    moments: pl.DataFrame, events: pl.DataFrame, features: Sequence[EntityFeature]
) -> Iterator[pl.DataFrame]:
    """Aggregate the events of each moment's window.

    Yields:
        KEY and the features, for moments with events.
    """
    entity = list(features[0].entity)
    window = ticks(features[0].window)
    stops = _before(moments, events, entity, 0)
    starts = _before(moments, events, entity, window)
    counts = stops - starts
    ends = np.cumsum(counts)
    aggregates = [each.aggregate.cast(pl.Float64).alias(each.name) for each in features]
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
        yield counted.group_by(KEY, maintain_order=True).agg(aggregates)
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

    Returns:
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
