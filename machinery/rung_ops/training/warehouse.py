"""Say what was taken from the warehouse, `poe data`, or take what is new, `poe data pull`.

With `rows = "sample"` the warehouse judges all rows, and only those travel that teach and judge: the
same that `split` would choose of all.
"""

import math
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import click
import polars as pl

from rung_ops import contract
from rung_ops.command import verb
from rung_ops.contract.forecast import declared
from rung_ops.data.warehouse import pull, query, settings
from rung_ops.data.warehouse.entity_sql import MOMENT, Windows, column, floored, key_columns
from rung_ops.data.warehouse.events import WarehouseEvents
from rung_ops.data.warehouse.judged_rows import JudgedRows, QueriedRows, literal, quoted
from rung_ops.data.warehouse.settings import WarehouseError
from rung_ops.features import point_in_time
from rung_ops.features.sources import raw_rows
from rung_ops.model.columns import time_zone
from rung_ops.model.entity_feature import EntityFeature, ticks
from rung_ops.project import current
from rung_ops.project.parameters import SplitSettings
from rung_ops.project.paths import params
from rung_ops.system.printable import counted
from rung_ops.training import window
from rung_ops.training.estimator import is_classification

# Columns of the SELECT below; no column of a query begins so (see JudgedRows.row).
TAUGHT, PLACE = '"rung taught"', '"rung place"'


class _Sql(str):
    """SQL of a whole number, for window.mixed(); exact below 2^53, as DuckDB divides floats."""

    def __add__(self, other: object) -> "_Sql":
        return _Sql(f"({self} + {other})")

    def __mul__(self, other: object) -> "_Sql":  # type: ignore[override]
        return _Sql(f"({self} * {other})")

    def __mod__(self, other: object) -> "_Sql":
        return _Sql(f"({self} % {other})")

    def __floordiv__(self, other: object) -> "_Sql":
        return _Sql(f"CAST(({self} - {self % other}) / {other} AS BIGINT)")


def _most() -> tuple[int, int]:
    """Read how many rows at most teach and judge."""
    used = window.settings()
    if used.test_rows is None or used.train_rows is None:
        raise WarehouseError(
            'rows = "sample" in ops/warehouse.toml takes as many rows as [split] of params.toml '
            "says: write `train_rows` and `test_rows` there."
        )
    return used.train_rows, used.test_rows


def sample_sql(rows: JudgedRows) -> str:
    """Write a SELECT of the rows that teach and judge, in order of time.

    Raises:
        WarehouseError: [split] of params.toml would have `split` choose others of them, or none has
            the time that it needs.
    """
    used, split = window.settings(), params()["split"]
    (most, test_rows), in_use = _most(), rows.sql
    before, test = "TRUE", "FALSE"
    if contract.TIME is None:
        most += test_rows  # `split` draws those that judge
        taught = int(rows.ask(f"SELECT count(*) FROM ({in_use}) AS rows").item())
    else:
        made, known = rows.moments()
        if used.begins is not None:
            in_use = f"SELECT * FROM ({in_use}) AS rows WHERE {made} >= {_begins(rows, used)}"
        number = rows.ask(f"SELECT count(*) FROM ({in_use}) AS rows").item()
        if not number:
            raise WarehouseError(
                f"`begins` in [split] of params.toml is {used.begins}, and no row is of that time "
                "or later."
            )
        first = max(int(number * (1 - split["test_share"])), number - test_rows)
        moment = rows.ask(
            f"SELECT {made} FROM ({in_use}) AS rows ORDER BY {made} NULLS FIRST "
            f"LIMIT 1 OFFSET {min(first, number - 1)}"
        ).item()
        if moment is None:
            raise WarehouseError(
                f"Too few rows have a `{contract.TIME}` to tell those that judge from the earlier ones."
            )
        test, same = f"{made} >= {literal(moment)}", f"{made} = {literal(moment)}"
        before = f"{known} < {literal(moment)}"
        reach = window.Window.parse(used.window)
        if reach.months is not None and not reach.half_life:
            before += f" AND {known} >= {literal(moment)} - {literal(reach.months * window.MONTH)}"
        judged, ties, taught = rows.ask(
            f"SELECT count(*) FILTER (WHERE {test}), count(*) FILTER (WHERE {same}) AS ties, "
            f"count(*) FILTER (WHERE {before}) AS taught FROM ({in_use}) AS rows"
        ).row(0)
        come = min(taught, most) + judged
        place = max(int(come * (1 - split["test_share"])), come - test_rows)
        if not come - judged <= min(place, come - 1) < come - judged + ties:
            share = math.ceil(100 * test_rows / come) / 100
            raise WarehouseError(
                f"Of the {come:,} rows that would come, {judged:,} are to judge, and `test_share = "
                f"{split['test_share']}` leaves fewer to `split`: write `test_share = {share}` into "
                "[split] of params.toml. `test_rows` is the limit then."
            )
    order = ", ".join(f"{rows.typed(name)} NULLS FIRST" for name in _order(rows))
    by_class = f"{rows.typed(contract.TARGET)}, " if is_classification(None) else ""
    numbered = (
        f"SELECT *, {before} AS {TAUGHT}, row_number() OVER (PARTITION BY {before} "
        f"ORDER BY {by_class}{order}) - 1 AS {PLACE} FROM ({in_use}) AS rows WHERE {before} OR {test}"
    )
    chosen = f"SELECT * FROM ({numbered}) AS rows WHERE NOT {TAUGHT} OR {_is_sampled(taught, most)}"
    return _with_features(rows, chosen, order)


def _with_features(rows: JudgedRows, chosen: str, order: str) -> str:
    """Select the columns of the query, and features of events in the warehouse, from rows of `rows.sql`.

    Args:
        chosen: a SELECT of these rows.

    Raises:
        WarehouseError: SQL does not compute a feature as Polars does, or its events do not come.
    """
    columns, joins = [f"chosen.{quoted(name)}" for name in rows.types], []
    for number, features in enumerate(_in_warehouse()):
        name = f"values_{number}"
        types = {each: rows.row.columns[each].dtype.type for each in features[0].entity}
        source = features[0].source
        assert isinstance(source, WarehouseEvents)
        events = QueriedRows(rows.source, query.read(source.query, None), None, rows.name)
        windows, at = Windows(events, features, types), str(features[0].at)
        kind = rows.row.columns[at].dtype.type
        windows.refuse_other_zone(bool(time_zone(kind)) if kind != pl.Date else None)
        lead, cadence = features[0].lead or timedelta(), ticks(features[0].cadence)
        moment = floored(f"({rows.source.microseconds(rows.moment(at))} - {ticks(lead)})", cadence)
        keys = dict(zip(key_columns(len(types)), map(rows.typed, types), strict=True)) | {
            MOMENT: moment
        }
        select = ", ".join(f"{sql} AS {key}" for key, sql in keys.items())
        values = windows.at(f"SELECT DISTINCT {select} FROM chosen")
        same = " AND ".join(f"{name}.{key} = {sql}" for key, sql in keys.items())
        joins.append(f" LEFT JOIN ({values}) AS {name} ON {same}")
        columns += [
            f"{name}.{quoted(each.name)} AS {quoted(column(source.query, each))}"
            for each in features
        ]
    return (
        f"WITH chosen AS MATERIALIZED ({chosen}) SELECT {', '.join(columns)} "
        f"FROM chosen{''.join(joins)} ORDER BY {order}"
    )


def _in_warehouse() -> Iterable[list[EntityFeature]]:
    """Group the features whose events are in the warehouse by windows; refuse those of a sample of rows."""
    groups: dict[tuple[object, ...], list[EntityFeature]] = {}
    for feature in map(point_in_time.of_forecast, contract.ENTITY_FEATURES):
        if feature.source is raw_rows:
            raise WarehouseError(
                f"features.py: the events of `{feature.name}` are rows of the project, of which a "
                'sample comes (`rows = "sample"`): write them as a query, '
                "`source=WarehouseEvents(...)`."
            )
        if isinstance(feature.source, WarehouseEvents):
            key = (feature.entity, feature.source, feature.time, str(feature.known_at))
            times = (feature.window, feature.cadence, feature.lead, feature.at)
            groups.setdefault((*key, *times), []).append(feature)
    return groups.values()


def _order(rows: JudgedRows) -> list[str]:
    """Order by TIME, then by all columns: what is the same in all of them has no order to lose."""
    return list(dict.fromkeys([*filter(None, [contract.TIME]), *rows.row.columns]))


def _is_sampled(height: int, most: int) -> str:
    """Write whether window.sampled() takes the row at PLACE of as many rows."""
    if height <= most:
        return "TRUE"
    bucket = (_Sql(PLACE) * most + (most - 1)) // height
    edge, after = bucket * height // most, (bucket + 1) * height // most
    chance = window.mixed(bucket, params()["seed"] % window.PRIME)
    return f"{PLACE} = {edge} + {chance} % ({after} - {edge})"


def _begins(rows: JudgedRows, used: SplitSettings) -> str:
    """Write `begins` in the type of the time at which rows are predicted, as window.since() casts it."""
    begins = used.first_moment()
    assert begins is not None
    dtype = rows.row.columns[str(contract.ORIGIN or contract.TIME)].dtype.type
    if begins.tzinfo is None and (zone := time_zone(dtype)):
        begins = begins.replace(tzinfo=ZoneInfo(zone))
    return literal(begins.date() if dtype == pl.Date and declared() is None else begins)


def pull_sample(under_way: pull.Pull) -> int:
    """Judge all rows in the warehouse, then take those that teach and judge; return their number."""
    _most(), _in_warehouse()  # a mistake in them is told before the warehouse works
    first, until = under_way.settings.first, under_way.until()
    is_windowed = under_way.query.windowed
    ends = (
        (datetime.combine(first, time()), datetime.combine(until, time())) if is_windowed else None
    )
    with under_way.source.at_one_moment() as source:
        rows = JudgedRows(source, under_way.query, ends, under_way.address.shown)
        under_way.refuse_others(rows.schema)
        problems, number = rows.problems()
        if problems:
            advice = "Nothing was pulled. Fix the rows in the warehouse, or the rule in dataset.py."
            raise WarehouseError("\n".join([*map(str, problems), advice]))
        if not number:
            raise WarehouseError(f"The query gives no row that has `{contract.TARGET}`.")
        under_way.say(f"judged {counted(number, 'row')} in {under_way.address.shown}")
        chosen = replace(under_way.query, sql=sample_sql(rows))
        taking = replace(under_way, source=source, query=chosen)
        return taking.take(under_way.folder / pull.SAMPLE, ends, "")


@verb("poe data")
@click.argument(
    "action", metavar="[list|pull]", type=click.Choice(["list", "pull"]), default="list"
)
def main(action: str) -> int:
    """Say what was taken from the warehouse, or take what is new."""
    says, where = settings.read(), settings.read_address()
    if action == "list":
        print("\n".join(pull.describe(says, where, current().warehouse)))
        return 0
    rows = pull.pull(says, where, current().warehouse, sample=pull_sample)
    print(f"{counted(rows, 'row')} taken" if rows else "There is nothing new.")
    return 0
