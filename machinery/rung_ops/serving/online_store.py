"""The feature store as the service reads it: swapped while it runs, and never a reason to fail."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from rung_ops.features import store, stores
from rung_ops.features.store import FeatureStore, FeatureStoreError, LookupResult, UnreachableError

LOG = logging.getLogger("service")


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


Asked = Sequence[tuple[LookedUpView, Sequence[bytes]]]  # keys of entities, by view


class OnlineStore:
    """Reads the store for all releases of this process, and counts.

    Where it cannot be read, it has no values: that is logged once, and counted.
    """

    def __init__(self, kept: FeatureStore) -> None:
        """Open nothing yet."""
        self._store = kept
        self._as_of: Mapping[str, int] = {}
        self._failing = False
        self._lock = threading.Lock()  # a shadow reads it in a separate thread
        self._counts: Counter[tuple[str, str]] = Counter()
        self._labels: dict[str, str] = {}

    def refuse_unless_filled(self, described: Sequence[dict[str, Any]]) -> None:
        """Refuse to look up what the store was not filled with; a server that is down refuses nothing.

        Args:
            described: `entity_features` of a release's contract.

        Raises:
            FeatureStoreError: it lacks the values of a view, as it is declared in the release.
        """
        with self._lock:
            try:
                store.refuse_unless_filled(described, self._store)
            except UnreachableError as error:
                # Another process of the service would answer with defaults; a new one does so, too.
                self._say(error)

    def look_up(self, asked: Asked) -> list[np.ndarray]:
        """Read the values of entities of several views, in one round trip.

        Args:
            asked: by view, the keys of the entities; a repeated one is read once.

        Returns:
            For each view an array of shape (n_keys, n_features); NaN for no value, or a stale one.
        """
        distinct = {view.id: list(dict.fromkeys(keys)) for view, keys in asked}
        with self._lock:
            error = None
            try:
                features = self._store.look_up(distinct)
                self._as_of = features.as_of
            except FeatureStoreError as raised:
                features, error = LookupResult({}, {}), raised
            numbers = []
            for view, keys in asked:
                self._labels[view.id] = view.label
                try:
                    if error is not None:
                        raise error
                    numbers.append(self._numbers(view, keys, distinct[view.id], features))
                except FeatureStoreError as raised:
                    error = raised
                    self._counts[view.label, "failed"] += len(distinct[view.id])
                    numbers.append(np.full((len(keys), len(view.names)), np.nan))
            self._say(error)
        return numbers

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
        filled = [none if each is None else each for each in packed]
        if any(len(each) != size for each in filled):
            raise FeatureStoreError("a value in the store has another length than its view")
        age = time.time() - features.as_of[view.id] / 1e6
        stale = [limit is not None and age > limit for limit in view.max_ages]
        self._count(view.label, packed, all(stale))
        if len(distinct) != len(keys):
            by_key = dict(zip(distinct, filled, strict=True))
            filled = [by_key[key] for key in keys]
        numbers = np.frombuffer(b"".join(filled), store.NUMBERS).reshape(len(keys), -1)
        return np.where(stale, np.nan, numbers) if any(stale) else numbers

    def _count(self, label: str, packed: Sequence[bytes | None], is_stale: bool) -> None:
        absent = packed.count(None)
        self._counts[label, "found"] += 0 if is_stale else len(packed) - absent
        self._counts[label, "stale" if is_stale else "missing"] += (
            len(packed) if is_stale else absent
        )

    def _say(self, error: FeatureStoreError | None) -> None:
        if error is not None and not self._failing:
            LOG.error("Entity features get their defaults: %s", error)
        self._failing = error is not None


@cache
def _nothing(features: int) -> bytes:
    return np.full(features, np.nan, store.NUMBERS).tobytes()


@cache
def online_store() -> OnlineStore:
    """Return this process's reader of the project's store.

    Raises:
        FeatureStoreError: its address or its settings cannot be used.
    """
    return OnlineStore(stores.project_store())
