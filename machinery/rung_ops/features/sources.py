"""Read the events that entity features are made of."""

from pathlib import Path

import polars as pl

from rung_ops.errors import StageError
from rung_ops.model.entity_feature import EntityFeature, Source


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


class Events:
    """The events of sources, each read once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._read: dict[Source, pl.DataFrame] = {}

    def of(self, feature: EntityFeature) -> pl.DataFrame:
        """Return the events of a feature."""
        if feature.source not in self._read:
            self._read[feature.source] = self._events(feature)
        return self._read[feature.source]

    def _events(self, feature: EntityFeature) -> pl.DataFrame:
        if isinstance(feature.source, str):
            events: pl.DataFrame | pl.LazyFrame = _scan(str(self._root / feature.source))
        else:
            events = feature.source()
        frame = events.collect() if isinstance(events, pl.LazyFrame) else events
        if not isinstance(frame, pl.DataFrame):
            raise TypeError(f"got a {type(frame).__name__}; expected a Polars frame")
        missing = [n for n in (*feature.entity, feature.time) if n not in frame.columns]
        if missing:
            raise ValueError(f"its events have no column `{'`, `'.join(missing)}`")
        return frame


def _scan(path: str) -> pl.LazyFrame:
    if path.endswith(".csv"):
        return pl.scan_csv(path, try_parse_dates=True)
    return pl.scan_parquet(path)


class EntityFeatureError(StageError):
    """An entity feature cannot be computed; the message says which, and why."""
