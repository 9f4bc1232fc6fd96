"""Fill in entity features: a value that the caller leaves out comes from the store, else the default."""

import struct
from collections.abc import Collection, Mapping, Sequence
from math import isnan
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from rung_ops.features import store
from rung_ops.release.bundle import BadBundle
from rung_ops.serving.online_store import LookedUpView, OnlineStore, online_store
from rung_ops.serving.requests import Reader, Table, Values


class EntityLookup:
    """Fills in the entity features of one release.

    Attributes:
        views: of its contract.
        online: the store.
    """

    def __init__(self, views: list[LookedUpView], reader: Reader, online: OnlineStore) -> None:
        """Prepare the views of a release.

        Args:
            views: of its contract.
            reader: of its rows.
            online: the store.
        """
        self.views = views
        self.online = online
        self._defaults = {column.name: column.default for column in reader.columns}
        at = {column.name: number for number, column in enumerate(reader.columns)}
        self._places = [
            _Places(
                [(at[name], self._defaults[name]) for name in view.entity],
                slice(at[view.names[0]], at[view.names[-1]] + 1),
            )
            for view in views
        ]

    def sent(self, rows: Sequence[Values]) -> dict[str, list[int]] | None:
        """Name the rows, counted from 0, whose caller sent an entity feature; None where none did."""
        found: dict[str, list[int]] = {}
        for view, places in zip(self.views, self._places, strict=True):
            for number, row in enumerate(rows):
                own = row[places.features]
                if own.count(None) < len(own):
                    for name, value in zip(view.names, own, strict=True):
                        if value is not None:
                            found.setdefault(name, []).append(number)
        return found or None

    def fill_rows(self, rows: Sequence[Values]) -> list[Values]:
        """Fill in what rows leave out; what stays empty gets the default later.

        Args:
            rows: their values in the order of the contract's columns, None for what is left out.
        """
        filled = list(rows)
        for view, places in zip(self.views, self._places, strict=True):
            asked = {
                number: places.key(row)
                for number, row in enumerate(filled)
                if None in row[places.features]
            }
            if not asked:
                continue
            found, fresh = self.online.look_up(view, list(asked.values()))
            unpack = struct.Struct(f"<{len(view.names)}d").unpack
            known = {key: unpack(packed) for key, packed in found.items()}
            # NaN, which stands for none, spoils a sum.
            whole = {key for key, numbers in known.items() if not isnan(sum(numbers))}
            whole = whole if all(fresh) else set()
            nothing = (None,) * len(view.names)
            first, last = places.features.start, places.features.stop
            for number, key in asked.items():
                row = filled[number]
                # The usual case without a step for each value.
                if key in whole and row[first:last] == nothing:
                    filled[number] = row[:first] + known[key] + row[last:]
                elif key in known:
                    filled[number] = places.filled(row, known[key], fresh)
        return filled

    def fill_table(self, table: Table) -> Table:
        """Fill in what a table leaves out; `missing` names what has the default still."""
        frame, missing = table.frame, dict(table.missing)
        sent: dict[str, list[int]] = {}
        for name in (name for view in self.views for name in view.names):
            absent = missing.get(name, ())
            if len(absent) < frame.height:
                sent[name] = sorted({*range(frame.height)}.difference(absent))
        for view in self.views:
            asked = sorted({row for name in view.names for row in missing.get(name, ())})
            if not asked:
                continue
            numbers = self._numbers(view, frame[asked])
            filled: list[pl.Series] = []
            for place, name in enumerate(view.names):
                at = np.array(missing.get(name, ()), np.int64)
                values = numbers[np.searchsorted(asked, at), place]
                known = ~np.isnan(values)
                if known.sum() == frame.height:
                    filled.append(pl.Series(name, values))
                    missing[name] = []
                elif known.any():
                    filled.append(frame[name].scatter(at[known], values[known]))
                    missing[name] = at[~known].tolist()
            frame = frame.with_columns(filled)
        return Table(frame, {name: rows for name, rows in missing.items() if rows}, sent or None)

    def complete(self, rows: pl.DataFrame, known: Collection[str]) -> pl.DataFrame:
        """Add the features of this release to rows that another release was asked with.

        Args:
            rows: with the columns of that release, shape (n_rows, n_columns).
            known: ids of its views, whose values the rows have.
        """
        for view in self.views:
            if view.id not in known:
                numbers = self._numbers(view, rows)
                rows = rows.with_columns(
                    pl.Series(name, numbers[:, place]).fill_nan(self._defaults[name])
                    for place, name in enumerate(view.names)
                )
        return rows

    def _numbers(self, view: LookedUpView, rows: pl.DataFrame) -> np.ndarray:
        """Look up the values of rows; shape (n_rows, n_features), NaN for none."""
        keys = [store.key_of(key) for key in rows.select(view.entity).iter_rows()]
        found, fresh = self.online.look_up(view, keys)
        none = np.full(len(view.names), np.nan, store.NUMBERS).tobytes()
        packed = b"".join([found.get(key, none) for key in keys])
        numbers = np.frombuffer(packed, store.NUMBERS).reshape(len(keys), len(view.names))
        return np.where(fresh, numbers, np.nan)


def lookup_of(contract: Mapping[str, Any], reader: Reader) -> EntityLookup | None:
    """Prepare the entity features of a release; None where it has none.

    Args:
        contract: of the release.
        reader: of its rows.

    Raises:
        BadBundle: the store lacks their values, as they are declared in the release.
    """
    described = contract.get("entity_features")
    if not described:
        return None
    online = online_store(store.path())
    try:
        online.refuse_unless_filled(described)
    except store.StoreError as error:
        raise BadBundle(f"{error}") from error
    views = [
        LookedUpView(
            view["id"],
            view["entity"],
            [feature["name"] for feature in view["features"]],
            [feature["max_age_seconds"] for feature in view["features"]],
        )
        for view in described
    ]
    return EntityLookup(views, reader, online)


class _Places(NamedTuple):
    """Where a row has a view: its entity, with the contract's defaults, and its features."""

    entity: list[tuple[int, Any]]
    features: slice  # they stand side by side in a contract

    def key(self, row: Values) -> bytes:
        return store.key_of(
            [default if row[place] is None else row[place] for place, default in self.entity]
        )

    def filled(self, row: Values, numbers: Values, fresh: Sequence[bool]) -> Values:
        numbers = tuple(
            number if value is None and is_fresh and not isnan(number) else value
            for value, number, is_fresh in zip(row[self.features], numbers, fresh, strict=True)
        )
        return row[: self.features.start] + numbers + row[self.features.stop :]
