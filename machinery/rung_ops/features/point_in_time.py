"""Compute entity features as they were known at a time: no row sees more than the service would.

One row goes in, one row comes out. The time of a row is rounded down to the cadence, as the store
holds no newer values, and events in [time - window, time) count that were known at that time.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl

from rung_ops.features.errors import EntityFeatureError
from rung_ops.features.sources import Events
from rung_ops.features.windows import AS_OF, KEY, aggregated, clock, ordered
from rung_ops.model.entity_feature import EntityFeature, ticks
from rung_ops.system.printable import printable


def join(rows: pl.DataFrame, declared: Sequence[EntityFeature] | None = None) -> pl.DataFrame:
    """Add the columns of entity features to rows, in their order.

    Args:
        rows: columns of Row, shape (n_rows, n_columns); columns named as a feature are replaced.
        declared: the features; by default those of features.py. Without any, `rows` is returned.

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
    return joined(rows, [of_forecast(each) for each in declared], contract.TIME, current().root)


def of_forecast(feature: EntityFeature) -> EntityFeature:
    """Give a feature the moment of a forecast, where it declares no other: ORIGIN, or HORIZON before TIME."""
    from rung_ops import contract

    at = feature.at or contract.ORIGIN or contract.TIME
    lead = feature.lead
    if lead is None and at == contract.TIME:
        lead = contract.HORIZON
    return replace(feature, at=at, lead=lead)


def joined(
    rows: pl.DataFrame, declared: Sequence[EntityFeature], time: str | None, root: Path
) -> pl.DataFrame:
    """Add the columns of entity features to rows; see join().

    Args:
        rows: columns of Row.
        declared: the features.
        time: TIME of dataset.py.
        root: where the paths of sources begin.
    """
    rows = rows.drop([feature.name for feature in declared], strict=False)
    events = Events(root)
    groups: dict[tuple[object, ...], list[EntityFeature]] = defaultdict(list)
    for feature in declared:
        key = (feature.entity, feature.cadence, feature.lead, feature.at or time)
        groups[key].append(feature)
    for features in groups.values():
        first = features[0]
        wanted = _as_of(rows, first, first.at or time)
        moments = wanted.unique(maintain_order=True)
        values = computed(moments, features, events, _zoned(rows, first.at or time))
        matched = wanted.join(
            values, on=wanted.columns, how="left", nulls_equal=True, maintain_order="left"
        )
        assert matched.height == rows.height, "each moment is there once"
        filled = (pl.col(each.name).fill_null(_default(each)) for each in features)
        rows = rows.hstack(matched.select(filled))
    return rows.select([*(n for n in rows.columns if n not in _names(declared)), *_names(declared)])


def computed(
    moments: pl.DataFrame,
    features: Sequence[EntityFeature],
    events: Events,
    is_zoned: bool | None = None,
) -> pl.DataFrame:
    """Compute features of the same entity at moments.

    Args:
        moments: the entity's columns and AS_OF, without repeated rows, shape (n_moments, n_keys + 1).
        features: all of the same entity.
        events: their sources.
        is_zoned: whether the moments are those of a clock with a zone; None if that is not known.

    Returns:
        The moments with a column for each feature, shape (n_moments, n_keys + 1 + n_features);
        null if there is no value.

    Raises:
        EntityFeatureError: one of them cannot be computed.
    """
    passes: dict[tuple[object, ...], list[EntityFeature]] = defaultdict(list)
    for feature in features:
        passes[feature.source, feature.time, str(feature.known_at), feature.window].append(feature)
    computed_rows = moments.with_row_index(KEY)
    for of_pass in passes.values():
        frame = read(events, of_pass[0])
        with _named(of_pass):
            prepared = ordered(frame, of_pass[0], moments, is_zoned)
            parts = list(aggregated(computed_rows.select(KEY, *moments.columns), prepared, of_pass))
        if parts:
            computed_rows = computed_rows.join(
                pl.concat(parts), on=KEY, how="left", maintain_order="left"
            )
        else:
            computed_rows = computed_rows.with_columns(
                pl.lit(None, pl.Float64).alias(each.name) for each in of_pass
            )
    # What is not finite is missing here and in the store, so both give the default.
    finite = (pl.when(pl.col(name).is_finite()).then(name) for name in _names(features))
    return computed_rows.sort(KEY).select(*moments.columns, *finite)


def read(events: Events, feature: EntityFeature) -> pl.DataFrame:
    """Read the events of a feature.

    Raises:
        EntityFeatureError: its source cannot be read.
    """
    with _named([feature]):
        return events.of(feature)


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


def floored(moment: int, cadence: int) -> int:
    """Round a time down to a multiple of the cadence; both in microseconds."""
    return moment // cadence * cadence


def _names(declared: Sequence[EntityFeature]) -> list[str]:
    return [feature.name for feature in declared]


def _default(feature: EntityFeature) -> pl.Expr:
    return pl.lit(feature.default, pl.Float64)


def _zoned(rows: pl.DataFrame, time: str | None) -> bool | None:
    kind = rows.schema[time] if time else None
    return kind.time_zone is not None if isinstance(kind, pl.Datetime) else None


def _as_of(rows: pl.DataFrame, feature: EntityFeature, time: str | None) -> pl.DataFrame:
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
    """Return when a row is predicted as far as a feature knows, in microseconds since 1970.

    Args:
        feature: declared with its lead.
        time: the column that the lead counts from.
        kind: of that column.
    """
    return clock(pl.col(time), kind) - ticks(feature.lead or timedelta())
