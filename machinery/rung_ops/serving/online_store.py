"""The feature store as the service reads it: swapped while it runs, and never a reason to fail."""

import logging
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from rung_ops.features import store
from rung_ops.features.store import StoreError
from rung_ops.system.files import stamp

LOG = logging.getLogger("service")

MOST_KEYS = 500  # of one query

Packed = Mapping[bytes, bytes]  # by entity: its numbers, as store.NUMBERS


class LookedUpView(NamedTuple):
    """A view of a release.

    Attributes:
        id: as in the store.
        entity: columns that name the entity.
        names: of the features, in the order of their values.
        max_ages: in seconds; None for no limit.
    """

    id: str
    entity: list[str]
    names: list[str]
    max_ages: list[float | None]

    @property
    def label(self) -> str:
        """The names of the entity's columns, for people."""
        return ",".join(self.entity)


class OnlineStore:
    """Reads the store, and opens a new one when it has taken the place of the old one.

    Where it cannot be read, it has no values: that is logged once, and counted.
    """

    def __init__(self, file: Path) -> None:
        """Open nothing yet."""
        self._file = file
        self._stamp: object = None
        self._database: sqlite3.Connection | None = None
        self._as_of: dict[str, int] = {}
        self._failing = False
        self._lock = threading.Lock()  # a shadow reads it in a thread of its own
        self._counts: Counter[tuple[str, str]] = Counter()
        self._labels: dict[str, str] = {}

    def refuse_unless_filled(self, described: Sequence[dict[str, Any]]) -> None:
        """Refuse to look up what the store was not filled with.

        Args:
            described: `entity_features` of a release's contract.

        Raises:
            StoreError: it lacks the values of a view, as it is declared in the release.
        """
        store.refuse_unless_filled(described, self._file)

    def look_up(self, view: LookedUpView, keys: Sequence[bytes]) -> tuple[Packed, list[bool]]:
        """Read the values of entities.

        Args:
            view: of a release.
            keys: of the entities; a repeated one is read once.

        Returns:
            The values by entity, packed, NaN for none; and which features are fresh.
        """
        distinct = list(dict.fromkeys(keys))
        with self._lock:
            self._labels[view.id] = view.label
            try:
                self._refresh()
                fresh = self._fresh(view)
                found = self._read(view, distinct) if any(fresh) else {}
            except (StoreError, sqlite3.Error) as error:
                if not self._failing:
                    LOG.error("Entity features get their defaults: %s", error)
                self._failing = True
                self._counts[view.label, "failed"] += len(distinct)
                return {}, [False] * len(view.names)
            self._failing = False
            self._counts[view.label, "found"] += len(found)
            absent = "missing" if any(fresh) else "stale"
            self._counts[view.label, absent] += len(distinct) - len(found)
            return found, fresh

    def metrics(self) -> Iterator[Metric]:
        """Give what was looked up, and how old it is; nothing before the first look-up."""
        if not self._labels:
            return
        lookups = CounterMetricFamily(
            "service_entity_lookups",
            "Entities looked up in the feature store, by what became of them: found, missing, "
            "stale (older than max_age), failed (the store could not be read).",
            labels=["entity", "outcome"],
        )
        for (label, outcome), number in sorted(self._counts.items()):
            lookups.add_metric([label, outcome], number)
        yield lookups
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

    def _refresh(self) -> None:
        try:
            found = stamp(self._file)
        except OSError as error:
            raise StoreError(f"{self._file.name} cannot be read: {error}") from error
        if found == self._stamp:
            return
        database = store.connect(self._file)
        as_of = store.as_of(database)
        if self._database is not None:
            self._database.close()
        self._database, self._as_of, self._stamp = database, as_of, found

    def _fresh(self, view: LookedUpView) -> list[bool]:
        if view.id not in self._as_of:
            raise StoreError(f"the store has no values of {', '.join(view.names)}")
        age = time.time() - self._as_of[view.id] / 1e6
        return [limit is None or age <= limit for limit in view.max_ages]

    def _read(self, view: LookedUpView, keys: Sequence[bytes]) -> Packed:
        assert self._database is not None, "_refresh() has opened it"
        rows: list[tuple[bytes, bytes]] = []
        for start in range(0, len(keys), MOST_KEYS):
            some = keys[start : start + MOST_KEYS]
            places = ",".join("?" * len(some))
            asked = f"SELECT entity, packed FROM numbers WHERE view = ? AND entity IN ({places})"
            rows += self._database.execute(asked, (view.id, *some)).fetchall()
        size = len(view.names) * store.NUMBERS.itemsize
        if any(len(packed) != size for _, packed in rows):
            raise StoreError("a value in the store has another length than its view")
        return dict(rows)


@cache
def online_store(file: Path) -> OnlineStore:
    """Return this process's reader of a store."""
    return OnlineStore(file)
