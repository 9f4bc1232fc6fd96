"""Entity features as SQL that DuckDB and PostgreSQL answer alike: their values come, and no events.

They are those that point_in_time computes of the same events, but for the last digits of sums.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import NoReturn

import polars as pl

from rung_ops.data.warehouse import pull, query, settings
from rung_ops.data.warehouse.judged_rows import (
    QueriedRows,
    is_judged,
    literal,
    quoted,
    typed_sql,
)
from rung_ops.data.warehouse.settings import WarehouseError
from rung_ops.features import point_in_time
from rung_ops.features.point_in_time import AS_OF
from rung_ops.model.columns import time_zone
from rung_ops.model.entity_feature import EntityFeature, ticks
from rung_ops.project import current
from rung_ops.project.paths import shown

EPOCH = datetime(1970, 1, 1)
MOST_MOMENTS = 20_000  # in the text of a query
# Columns of the SELECTs below; no column of a query begins so.
MOMENT, TIME, KNOWN, BUCKET = '"rung as of"', '"rung time"', '"rung known"', '"rung bucket"'
# Polars leaves NaN out of both ends; to a database it is the greatest.
SQL = {
    "len": "count(*)",
    "count": "count({column})",
    "max": "max(NULLIF({column}, CAST('NaN' AS DOUBLE PRECISION)))",
    "mean": "avg({column})",
    "min": "min(NULLIF({column}, CAST('NaN' AS DOUBLE PRECISION)))",
    "sum": "coalesce(sum({column}), 0)",
}


def key_columns(number: int) -> list[str]:
    """Name the columns of an entity in a SELECT."""
    return [f'"rung key {n}"' for n in range(number)]


def floored(time: str, step: int) -> str:
    """Round microseconds down to a multiple."""
    return f"({time} - (({time} % {step}) + {step}) % {step})"


@dataclass(frozen=True)
class Windows:
    """The windows of features that hold the same events.

    Attributes:
        events: the rows of their query.
        features: of the same entity, source, time and window.
        types: of the entity's columns in Row.
    """

    events: QueriedRows
    features: Sequence[EntityFeature]
    types: Mapping[str, pl.DataType]

    def refuse_other_zone(self, is_zoned: bool | None) -> None:
        """Refuse moments of a clock with a zone where the events have none, and the other way round."""
        kind = self.kind(self.features[0].time)
        point_in_time.refuse_other_zone(self.features[0], [kind], is_zoned)

    def _refuse(self, what: str) -> NoReturn:
        names = ", ".join(f"`{each.name}`" for each in self.features)
        raise WarehouseError(
            f"SQL cannot compute {names} as Polars does: {what}. Change the declaration, or "
            f"{shown(self.events.query.file)}."
        )

    def kind(self, name: str) -> pl.DataType:
        """Return the type of a column of the events."""
        if name not in self.events.types:
            raise WarehouseError(f"{shown(self.events.query.file)} gives no column `{name}`.")
        return self.events.types[name]

    def _microseconds(self, name: str) -> str:
        kind = self.kind(name)
        if kind != pl.Date and not (isinstance(kind, pl.Datetime) and kind.time_unit == "us"):
            self._refuse(f"`{name}` is {kind}, not a date or a time in microseconds")
        time = f"CAST({quoted(name)} AS TIMESTAMP)" if kind == pl.Date else quoted(name)
        return self.events.source.microseconds(time)

    def _known(self) -> str:
        """Name the column that says when an event is known."""
        known = self.features[0].known_at
        names = known.meta.root_names()
        if len(names) != 1 or not known.meta.eq(pl.col(names[0])):
            self._refuse("`known` is not a column")
        return names[0]

    def _aggregates(self) -> Iterator[str]:
        for feature in self.features:
            simple = point_in_time.aggregate_of_column(feature.aggregate)
            if simple is None:
                self._refuse(
                    "its aggregate is neither `pl.len()` nor sum, mean, count, min or max of a column"
                )
            name, column = simple
            kind = self.kind(column) if column else pl.Float64()
            if name != "count" and not (kind.is_numeric() or kind == pl.Boolean):
                self._refuse(f"`{column}` is {kind}, not a number")
            number = quoted(column)
            if name != "count":
                number = f"CAST({number} AS INTEGER)" if kind == pl.Boolean else number
                number = f"CAST({number} AS DOUBLE PRECISION)"
            value = SQL[name].format(column=number)
            yield f"CAST({value} AS DOUBLE PRECISION) AS {quoted(feature.name)}"

    def _counted(self, first: int | None = None, last: int | None = None) -> str:
        """Select events, which have their entity and times; those around [first, last] are enough."""
        feature = self.features[0]
        is_zoned = bool(time_zone(self.kind(feature.time)))
        point_in_time.refuse_other_zone(feature, [self.kind(self._known())], is_zoned)
        entity = []
        for key, name in zip(key_columns(len(feature.entity)), feature.entity, strict=True):
            kind, wanted = self.kind(name), self.types[name]
            # Polars makes 2 of 2.5, and true of 2; SQL makes both null.
            is_cut = kind.is_float() and wanted.is_integer()
            if is_cut or (wanted == pl.Boolean and kind != wanted) or not is_judged(kind, wanted):
                self._refuse(f"`{name}` is {kind}, and {wanted} in Row")
            entity.append(f"{typed_sql(name, kind, wanted)[0]} AS {key}")
        read = dict.fromkeys(n for each in self.features for n in each.aggregate.meta.root_names())
        columns = [*map(quoted, read), *entity]
        select = (
            f"SELECT {', '.join(columns)}, {self._microseconds(feature.time)} AS {TIME}, "
            f"{self._microseconds(self._known())} AS {KNOWN} "
            f"FROM ({self.events.query.sql}\n) AS events"
        )
        if first is None or last is None:
            return select
        # The window of a time of the year 1 begins before any.
        sides = (max(timedelta(microseconds=n), datetime.min - EPOCH) for n in (first, last))
        ends = [EPOCH + side for side in sides]
        if self.kind(feature.time) == pl.Date:
            begin, end = (literal(each.date()) for each in ends)
        else:
            zone = UTC if is_zoned else None
            begin, end = (literal(each.replace(tzinfo=zone)) for each in ends)
        time = quoted(feature.time)
        return f"{select} WHERE {time} >= {begin} AND {time} <= {end}"

    def at(self, moments: str, first: int | None = None, last: int | None = None) -> str:
        """Select the values at the moments of a SELECT of the entity's keys and MOMENT.

        Args:
            first, last: of the moments, if that is known.
        """
        window = ticks(self.features[0].window)
        keys = key_columns(len(self.features[0].entity))
        events = self._counted(None if first is None else first - window, last)
        # A window lies in two buckets of its length: equal buckets are found without a look at others.
        windows = (
            f"SELECT moments.*, {floored(f'({MOMENT} - {window})', window)} + steps.step AS {BUCKET} "
            f"FROM ({moments}) AS moments CROSS JOIN (VALUES (0), ({window})) AS steps(step)"
        )
        in_buckets = f"SELECT *, {floored(TIME, window)} AS {BUCKET} FROM ({events}) AS events"
        same = " AND ".join(f"events.{each} = windows.{each}" for each in (*keys, BUCKET))
        group = ", ".join(f"windows.{each}" for each in (*keys, MOMENT))
        # Materialized: PostgreSQL would compute the times again for each pair of a moment and an event.
        return (
            f"WITH windows AS MATERIALIZED ({windows}), events AS MATERIALIZED ({in_buckets}) "
            f"SELECT {group}, {', '.join(self._aggregates())} FROM windows "
            f"JOIN events ON {same} AND {TIME} >= {MOMENT} - {window} "
            f"AND {TIME} < {MOMENT} AND {KNOWN} <= {MOMENT} GROUP BY {group}"
        )

    def of_all(self, moment: int) -> str:
        """Select the values of all entities at a moment."""
        window = ticks(self.features[0].window)
        keys = key_columns(len(self.features[0].entity))
        return (
            f"SELECT {', '.join(keys)}, {', '.join(self._aggregates())} "
            f"FROM ({self._counted(moment - window, moment)}) AS events "
            f"WHERE {TIME} >= {moment - window} AND {TIME} < {moment} AND {KNOWN} <= {moment} "
            f"AND {' AND '.join(f'{key} IS NOT NULL' for key in keys)} GROUP BY {', '.join(keys)}"
        )

    def newest(self) -> str:
        """Select the time of the newest event."""
        time = self._microseconds(self.features[0].time)
        return f"SELECT max({time}) FROM ({self.events.query.sql}\n) AS events"


def computed(
    name: str,
    moments: pl.DataFrame,
    features: Sequence[EntityFeature],
    is_zoned: bool | None,
    is_sample: bool,
) -> pl.DataFrame:
    """Compute features at moments; see RemoteEvents."""
    known = moments.drop_nulls()
    values = _brought(name, known, features)
    known = known.join(values, on=known.columns, how="anti")
    if known.is_empty():
        return values
    types = {name: moments.schema[name] for name in features[0].entity}
    with _connected(name, is_sample) as events:
        windows = Windows(events, features, types)
        windows.refuse_other_zone(is_zoned)
        parts = [values]
        for some in known.sort(AS_OF).iter_slices(MOST_MOMENTS):
            select = windows.at(_written(some), some[AS_OF][0], some[AS_OF][-1])
            parts.append(_named(events.ask(select), values.schema))
    return pl.concat(parts)


def of_all_entities(
    name: str, moment: int, features: Sequence[EntityFeature], types: Mapping[str, pl.DataType]
) -> pl.DataFrame:
    """Compute features of all entities at a moment; see RemoteEvents."""
    schema = {name: types[name] for name in features[0].entity}
    schema |= {each.name: pl.Float64() for each in features}
    with _connected(name) as events:
        return _named(events.ask(Windows(events, features, types).of_all(moment)), schema)


def newest(name: str, feature: EntityFeature) -> int | None:
    """Find the time of the newest event, in microseconds since 1970."""
    with _connected(name) as events:
        found: int | None = events.ask(Windows(events, [feature], {}).newest()).item()
    return found


def is_zoned(name: str, feature: EntityFeature) -> bool:
    """Tell whether the times of the events have a zone."""
    with _connected(name) as events:
        return bool(time_zone(Windows(events, [feature], {}).kind(feature.time)))


@contextmanager
def _connected(name: str, is_sample: bool = False) -> Iterator[QueriedRows]:
    """Connect to the warehouse, or to that of data/sample, for the events of a query."""
    address = settings.sample_address() if is_sample else settings.read_address()
    if address.is_sample and not is_sample:
        last = pull.last_here(current().warehouse)
        if last and not pull.note_of(last).get("sample", False):
            raise WarehouseError(f"{settings.VARIABLE} is not set")
    pull.fill_missing_sample(address)
    with pull.connected(address) as source, source.at_one_moment() as moment:
        yield QueriedRows(moment, query.read(name, None), None, address.shown)


def _written(moments: pl.DataFrame) -> str:
    """Write moments as SQL."""
    rows = (f"({', '.join(map(literal, row))})" for row in moments.iter_rows())
    keys = ", ".join([*key_columns(moments.width - 1), MOMENT])
    return f"SELECT * FROM (VALUES {', '.join(rows)}) AS moments({keys})"


def _named(answer: pl.DataFrame, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    return answer.rename(dict(zip(answer.columns, schema, strict=True))).cast(pl.Schema(schema))


def column(name: str, feature: EntityFeature) -> str:
    """Name the column of a feature in the file of the sample; another declaration or query has another."""
    lead = ticks(feature.lead or timedelta())
    parts = query.read(name, None).hash, feature.fingerprint(), feature.at, lead
    return f"rung {feature.name} {sha256(repr(parts).encode()).hexdigest()[:16]}"


def _brought(name: str, moments: pl.DataFrame, features: Sequence[EntityFeature]) -> pl.DataFrame:
    """Find the values that the last pull brought."""
    entity, time = list(features[0].entity), features[0].at
    schema = dict(moments.schema) | {each.name: pl.Float64() for each in features}
    file = current().warehouse / pull.SAMPLE
    if time is None or not file.exists():
        return pl.DataFrame(schema=schema)
    here, types = pl.scan_parquet(file, hive_partitioning=False, glob=False), pull.row_types()
    columns = [column(name, each) for each in features]
    if not {*columns, *entity, time} <= set(here.collect_schema()):
        return pl.DataFrame(schema=schema)
    keys = [pl.col(key).cast(types[key]) for key in dict.fromkeys((*entity, time))]
    rows = here.select(*keys, *columns).collect()
    found = point_in_time.as_of(rows, features[0], time).hstack(rows.select(columns)).unique()
    found = found.rename(dict(zip(columns, (each.name for each in features), strict=True)))
    return moments.join(found.cast(pl.Schema(schema)), on=moments.columns)
