"""What an entity feature is: a number of an entity, aggregated from its events of a time window."""

import hashlib
import inspect
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import polars as pl


class RemoteEvents(ABC):
    """Events that stay where they are, such as in a warehouse, which computes the features."""

    @abstractmethod
    def computed(
        self,
        moments: pl.DataFrame,
        features: "Sequence[EntityFeature]",
        is_zoned: bool | None,
        is_sample: bool,
    ) -> pl.DataFrame:
        """Compute features whose windows hold the same events at moments.

        Args:
            moments: the entity's columns, and last AS_OF, without repeated rows.
            features: of the same entity, source, time and window.
            is_zoned: whether the moments are those of a clock with a zone; None if that is not known.
            is_sample: the rows are those of data/sample.

        Returns:
            The moments that have events, and the features.
        """

    @abstractmethod
    def of_all_entities(
        self,
        moment: int,
        features: "Sequence[EntityFeature]",
        types: Mapping[str, pl.DataType],
    ) -> pl.DataFrame:
        """Compute such features at a moment, of each entity that has events in the window."""

    @abstractmethod
    def newest(self, feature: "EntityFeature") -> int | None:
        """Find the time of the newest event, in microseconds since 1970."""

    @abstractmethod
    def is_zoned(self, feature: "EntityFeature") -> bool:
        """Tell whether the times of the events have a zone."""


Source = str | Callable[[], pl.DataFrame | pl.LazyFrame] | RemoteEvents
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, eq=False, kw_only=True)
class EntityFeature:
    """A number of an entity, such as the share of a carrier's flights of the last 7 days that were late.

    A row that is predicted at t gets the aggregate of the events in [a - window, a) that were known
    at a, where a is t rounded down to `cadence`: the last time at which the store was filled.

    Attributes:
        name: of the column that FEATURES may read; it is not a column of Row.
        entity: columns of Row that name the entity; the events have them, too.
        source: of the events: a function that returns a frame, the path of Parquet or CSV files
            below the project, `*` allowed, or WarehouseEvents.
        time: column of the events with the time of an event.
        known: column or expression of the events: when an event is known; `time` by default.
        aggregate: expression over the events of a window that gives one number.
        window: how far back events count.
        cadence: how often the store is filled.
        default: value without events; None for a missing value.
        max_age: a value in the store that is older is not used; None for no limit.
        lead: how long before the time of a row its prediction is made; by default HORIZON of
            dataset.py before TIME, and at other times no time before.
        at: column of Row with that time; ORIGIN of dataset.py by default, or else TIME.
        zone: of times without a zone, such as `America/New_York`.
        unit, owner, description: for people.
    """

    name: str
    entity: Sequence[str]
    source: Source
    time: str
    aggregate: pl.Expr
    window: timedelta
    cadence: timedelta
    known: str | pl.Expr | None = None
    default: float | None = None
    max_age: timedelta | None = None
    lead: timedelta | None = None
    at: str | None = None
    zone: str = "UTC"
    unit: str | None = None
    owner: str | None = None
    description: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be computed."""
        object.__setattr__(
            self, "entity", (self.entity,) if isinstance(self.entity, str) else tuple(self.entity)
        )
        if not self.entity:
            raise ValueError(f"EntityFeature `{self.name}`: entity names no column.")
        if not isinstance(self.aggregate, pl.Expr):
            raise ValueError(f"EntityFeature `{self.name}`: aggregate is not a Polars expression.")
        for what in ("window", "cadence"):
            if getattr(self, what) < MICROSECOND:
                raise ValueError(f"EntityFeature `{self.name}`: {what} is not a positive time.")
        if min(self.lead or timedelta(), self.max_age or timedelta()) < timedelta():
            raise ValueError(f"EntityFeature `{self.name}`: lead and max_age are not negative.")
        if not (isinstance(self.source, str | RemoteEvents) or callable(self.source)):
            raise ValueError(f"EntityFeature `{self.name}`: source is neither function nor path.")

    @property
    def known_at(self) -> pl.Expr:
        """When an event is known."""
        known = self.time if self.known is None else self.known
        return pl.col(known) if isinstance(known, str) else known

    def fingerprint(self) -> str:
        """Hash what the stored values depend on.

        Default, age limit, lead and texts are applied when a value is read, so they do not count.
        Of a function, its own text counts, and not that of functions which it calls.
        """
        source = self.source
        if not isinstance(source, str):
            source = repr(source) if isinstance(source, RemoteEvents) else _text(source)
        parts = [
            *(self.name, list(self.entity), source, self.time, str(self.known_at)),
            *(str(self.aggregate), ticks(self.window), ticks(self.cadence), self.zone),
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class View:
    """Features whose values the store keeps together: one blob for each entity.

    `id` is a hash of the declarations: another one means other values.
    """

    id: str
    entity: tuple[str, ...]
    features: tuple[EntityFeature, ...]

    @property
    def names(self) -> list[str]:
        """The features' names, in the order of their values."""
        return [feature.name for feature in self.features]


def views_of(declared: Iterable[EntityFeature]) -> list[View]:
    """Put the features of the same entity, cadence and zone together, in the order of declaration."""
    groups: dict[Any, list[EntityFeature]] = {}
    for feature in declared:
        groups.setdefault((feature.entity, feature.cadence, feature.zone), []).append(feature)
    return [
        View(
            hashlib.sha256(
                "".join(feature.fingerprint() for feature in features).encode()
            ).hexdigest()[:16],
            tuple(entity),
            tuple(features),
        )
        for (entity, _, _), features in groups.items()
    ]


def ticks(span: timedelta) -> int:
    """Count the microseconds of a time span."""
    return span // MICROSECOND


def _text(function: Callable[..., Any]) -> str:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):  # made without a file, or not a plain function
        code = getattr(function, "__code__", None)
        return repr(code.co_code if code is not None else function)
