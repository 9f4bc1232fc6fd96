"""Fill in entity features: a value that the caller leaves out comes from the store, else the default."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from rung_ops.features import store
from rung_ops.model.bundle import BundleError
from rung_ops.model.rows import Missing, Reader, Table
from rung_ops.serving.online_store import LookedUpView, OnlineStore, online_store


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
        self._order = list(self._defaults)

    def fill(self, table: Table) -> Table:
        """Fill in what rows leave out; `missing` names what has the default still.

        Args:
            table: rows of the contract; where no row has a value that is looked up, these columns may
                be left out.
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
        asked = [view for view in self.views if rows[view.id] != []]
        keys = [self._keys(view, frame, rows[view.id]) for view in asked]
        stored = self.online.look_up(list(zip(asked, keys, strict=True))) if asked else []
        series: list[pl.Series] = []
        for view, numbers in zip(asked, stored, strict=True):
            if (some := rows[view.id]) is None:
                series += self._columns(view, numbers, missing)
            else:
                series += _scattered(view, frame, some, numbers, missing)
        in_order = {name: missing[name] for name in self._order if name in missing}
        return Table(self._with(frame, series), in_order, sent or None)

    def complete(self, rows: pl.DataFrame, known: Collection[str]) -> pl.DataFrame:
        """Add the features of this release to rows that another release was asked with.

        Args:
            rows: with the columns of that release, shape (n_rows, n_columns).
            known: ids of its views, whose values the rows have.
        """
        asked = [view for view in self.views if view.id not in known]
        if not asked:
            return rows
        stored = self.online.look_up([(view, self._keys(view, rows, None)) for view in asked])
        looked_up = zip(asked, stored, strict=True)
        return rows.with_columns(
            [each for view, numbers in looked_up for each in self._columns(view, numbers, {})]
        )

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


def _scattered(
    view: LookedUpView,
    frame: pl.DataFrame,
    rows: list[int],
    numbers: np.ndarray,
    missing: Missing,
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


def lookup_of(contract: Mapping[str, Any], reader: Reader) -> EntityLookup | None:
    """Prepare the entity features of a release; None if it has none.

    Args:
        contract: of the release.
        reader: of its rows.

    Raises:
        BundleError: the store lacks their values, as they are declared in the release.
    """
    described = contract.get("entity_features")
    if not described:
        return None
    try:
        online = online_store()
        online.refuse_unless_filled(described)
    except store.StoreError as error:
        raise BundleError(f"{error}") from error
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
