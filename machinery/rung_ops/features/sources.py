"""Read the events that entity features are made of."""

from pathlib import Path

import polars as pl

from rung_ops.errors import StageError
from rung_ops.model.entity_feature import EntityFeature, RemoteEvents, Source


def raw_rows() -> pl.DataFrame:
    """Read all raw files with load() of dataset.py, for features whose events are rows of the project.

    Returns:
        The columns of Row, shape (n_rows, n_columns).
    """
    # Imported here: features.py is imported in the service's image, which has no pandera.
    from rung_ops import contract
    from rung_ops.contract.raw_file import read
    from rung_ops.contract.row_checks import inspect
    from rung_ops.project.paths import raw_files, shown

    schema = contract.Row.to_schema()
    return pl.concat([inspect(read(path), schema, shown(path))[0] for path in raw_files()])


def source_name(source: Source) -> str:
    """Name a source for people: its path, or the name of its function."""
    return source if isinstance(source, str) else getattr(source, "__name__", repr(source))


MOST_EVENTS = 5_000_000  # in memory at a time, where a source is a path or gives a LazyFrame


class Events:
    """The events of sources, each read once; those of a source of more than MOST_EVENTS when needed.

    Attributes:
        is_sample: they are of rows of data/sample.
    """

    def __init__(self, root: Path, is_sample: bool = False) -> None:
        self._root = root
        self.is_sample = is_sample
        self._read: dict[Source, pl.LazyFrame] = {}

    def scan(self, feature: EntityFeature) -> pl.LazyFrame:
        """Return the events of a feature."""
        if feature.source not in self._read:
            self._read[feature.source] = self._events(feature)
        return self._read[feature.source]

    def _events(self, feature: EntityFeature) -> pl.LazyFrame:
        if isinstance(feature.source, str):
            events: pl.DataFrame | pl.LazyFrame = _scan(str(self._root / feature.source))
        else:
            assert not isinstance(feature.source, RemoteEvents)
            events = feature.source()
        if not isinstance(events, pl.DataFrame | pl.LazyFrame):
            raise TypeError(f"got a {type(events).__name__}; expected a Polars frame")
        schema = events.lazy().collect_schema()
        missing = [n for n in (*feature.entity, feature.time) if n not in schema]
        if missing:
            raise ValueError(f"its events have no column `{'`, `'.join(missing)}`")
        if isinstance(events, pl.LazyFrame) and count(events) <= MOST_EVENTS:
            events = events.collect()
        return events.lazy()


def count(events: pl.LazyFrame) -> int:
    """Count events."""
    return int(events.select(pl.len()).collect(engine="streaming").item())


def _scan(path: str) -> pl.LazyFrame:
    if path.endswith(".csv"):
        return pl.scan_csv(path, try_parse_dates=True)
    return pl.scan_parquet(path)


class EntityFeatureError(StageError):
    """An entity feature cannot be computed; the message says which, and why."""
