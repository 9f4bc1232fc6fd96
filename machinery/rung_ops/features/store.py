"""The feature store: a blob of numbers for each entity and view, in a file or on a server.

A new filling takes the place of the old one as a whole, so a reader sees the values before or after,
never a mix.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from rung_ops.errors import OpsError
from rung_ops.project import paths
from rung_ops.project.paths import shown
from rung_ops.system import files
from rung_ops.system.files import stamp

NUMBERS = np.dtype("<f8")  # NaN where there is no value
# KiB. Not mapped into memory: copying over a mapped file kills the process that reads it.
CACHE = 16_384
MAX_KEYS = 500  # of one query
SCHEMA = """
CREATE TABLE views (id TEXT PRIMARY KEY, as_of INTEGER NOT NULL, names TEXT NOT NULL);
CREATE TABLE numbers (view TEXT, entity BLOB, packed BLOB NOT NULL, PRIMARY KEY (view, entity))
    WITHOUT ROWID;
"""


class FeatureStoreError(OpsError):
    """The store is missing, does not answer, or is not one; the message says which."""


class StoreUnreachableError(FeatureStoreError):
    """The server of the store does not answer, or refuses to; the store may be as it should be."""


class StoredView(NamedTuple):
    """The values of a view for all entities.

    Attributes:
        id: of the declarations.
        as_of: what the values are of, in microseconds since 1970, UTC.
        names: of the features.
        entities: a key for each, from keys_of().
        numbers: shape (n_entities, n_features); NaN for no value.
    """

    id: str
    as_of: int
    names: list[str]
    entities: list[bytes]
    numbers: np.ndarray

    def packed(self) -> Iterator[tuple[bytes, bytes]]:
        """Give each entity with its numbers as the store keeps them."""
        rows = np.ascontiguousarray(self.numbers, NUMBERS)
        return ((entity, row.tobytes()) for entity, row in zip(self.entities, rows, strict=True))

    @classmethod
    def unpacked(
        cls, identity: str, as_of: int, names: list[str], packed: Sequence[tuple[bytes, bytes]]
    ) -> "StoredView":
        """Make a view of what the store keeps; entities are ordered by their keys."""
        entities, blobs = zip(*sorted(packed), strict=True) if packed else ((), ())
        numbers = np.frombuffer(b"".join(blobs), NUMBERS).reshape(len(blobs), len(names))
        return cls(identity, as_of, names, list(entities), numbers)


class LookupResult(NamedTuple):
    """The features that a store holds of some entities."""

    as_of: Mapping[str, int]  # what the values are of, by the id of each view that the store has
    # Numbers of each entity asked for, by view, in the order of the keys; None for none.
    packed: Mapping[str, Sequence[bytes | None]]


class FeatureStore(Protocol):
    """Where the values are kept. One thread at a time uses it.

    Each method raises FeatureStoreError if the store cannot be used.

    Attributes:
        name: for people.
    """

    @property
    def name(self) -> str: ...

    def write(self, views: Sequence[StoredView]) -> None:
        """Replace all views by these; where that fails, those before stay."""

    def as_of(self) -> Mapping[str, int]:
        """Return what the values of each view are of, in microseconds since 1970, by its id."""

    def read(self, view: str) -> StoredView:
        """Read all values of a view; the store must have it."""

    def look_up(self, keys: Mapping[str, Sequence[bytes]]) -> LookupResult:
        """Read entities of several views, by their ids; a view that the store lacks is left out."""


def keys_of(columns: Iterable[Iterable[Any]]) -> list[bytes]:
    """Write what names each entity, as bytes: each value with its length, so that no two are alike."""
    parts = (
        [f"{len(text)}:{text}" for text in ["-" if v is None else str(v) for v in column]]
        for column in columns
    )
    return ["".join(row).encode() for row in zip(*parts, strict=True)]


def key_of(values: Iterable[Any]) -> bytes:
    """Write what names one entity: keys_of() of a single row."""
    return keys_of([value] for value in values)[0]


def refuse_unless_filled(
    views: Sequence[Mapping[str, Any]], filled: FeatureStore
) -> Mapping[str, int]:
    """Refuse a store that lacks the values of a view, as it was declared when it was released."""
    advice = "Run `uv run rung-ops features materialize`"
    try:
        as_of = filled.as_of()
    except FeatureStoreError as error:
        # Of the same kind: the service waits for a server, but not for a missing file.
        raise type(error)(f"its entity features have no store: {error}. {advice}") from error
    for view in views:
        if view["id"] not in as_of:
            names = ", ".join(feature["name"] for feature in view["features"])
            raise FeatureStoreError(
                f"the store has no values of its entity features {names}: it is empty, or they were "
                f"declared in another way when it was filled. {advice}"
            )
    return as_of


def moment_shown(moment: int) -> str:
    """Write a time of the store for people."""
    return datetime.fromtimestamp(moment / 1e6, UTC).isoformat(timespec="seconds")


def store_file() -> Path:
    """Return the path of the store: `features.sqlite` in the folder of the releases."""
    return paths.releases() / "features.sqlite"


class SqliteStore:
    """A feature store in a file; opened again when another one has taken its name."""

    def __init__(self, file: Path) -> None:
        self.name = shown(file)  # for people
        self._file = file
        self._stamp: object = None
        self._database: sqlite3.Connection | None = None
        self._as_of: dict[str, int] = {}

    def write(self, views: Sequence[StoredView]) -> None:
        """Replace the file by one with these views, atomically."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with files.writing(self._file) as draft, closing(sqlite3.connect(draft)) as database:
                _fill_database(database, views)
        except (OSError, sqlite3.Error) as error:
            raise FeatureStoreError(f"it cannot be written: {error}") from error

    def as_of(self) -> Mapping[str, int]:
        """Return what the values of each view are of, by its id."""
        self._open()
        return self._as_of

    def read(self, view: str) -> StoredView:
        """Read all values of a view."""
        database = self._open()
        try:
            query = "SELECT as_of, names FROM views WHERE id = ?"
            described = database.execute(query, (view,)).fetchone()
            query = "SELECT entity, packed FROM numbers WHERE view = ?"
            rows = database.execute(query, (view,)).fetchall()
        except sqlite3.Error as error:
            raise FeatureStoreError(f"it is not a feature store: {error}") from error
        if described is None:
            raise FeatureStoreError(f"it has no view {view}")
        return StoredView.unpacked(view, described[0], json.loads(described[1]), rows)

    def look_up(self, keys: Mapping[str, Sequence[bytes]]) -> LookupResult:
        """Read entities of several views."""
        database = self._open()
        packed: dict[str, list[bytes | None]] = {}
        try:
            for view, wanted in keys.items():
                if view in self._as_of:
                    rows: dict[bytes, bytes] = {}
                    for start in range(0, len(wanted), MAX_KEYS):
                        some = wanted[start : start + MAX_KEYS]
                        query = _select_numbers(len(some))
                        rows |= database.execute(query, (view, *some)).fetchall()
                    packed[view] = list(map(rows.get, wanted))
        except sqlite3.Error as error:
            raise FeatureStoreError(f"it cannot be read: {error}") from error
        return LookupResult(self._as_of, packed)

    def _open(self) -> sqlite3.Connection:
        try:
            now = stamp(self._file)
        except OSError as error:
            raise FeatureStoreError(f"{self.name} is missing") from error
        if self._database is not None and now == self._stamp:
            return self._database
        try:
            # It never changes: another one takes its name.
            address = f"{self._file.resolve().as_uri()}?mode=ro&immutable=1"
            database = sqlite3.connect(address, uri=True, check_same_thread=False)
            database.execute(f"PRAGMA cache_size=-{CACHE}")
            as_of = dict(database.execute("SELECT id, as_of FROM views").fetchall())
        except sqlite3.Error as error:
            raise FeatureStoreError(f"{self.name} is not a feature store: {error}") from error
        if self._database is not None:
            self._database.close()
        self._database, self._as_of, self._stamp = database, as_of, now
        return database


def _select_numbers(number: int) -> str:
    places = ",".join("?" * number)
    return f"SELECT entity, packed FROM numbers WHERE view = ? AND entity IN ({places})"


def _fill_database(database: sqlite3.Connection, views: Sequence[StoredView]) -> None:
    # A draft is synced and renamed when it is whole, so a journal beside it has no use.
    database.execute("PRAGMA journal_mode=OFF")
    database.executescript(SCHEMA)
    for view in views:
        described = (view.id, view.as_of, json.dumps(view.names))
        database.execute("INSERT INTO views VALUES (?, ?, ?)", described)
        database.executemany(
            "INSERT INTO numbers VALUES (?, ?, ?)",
            ((view.id, entity, packed) for entity, packed in view.packed()),
        )
    database.commit()
