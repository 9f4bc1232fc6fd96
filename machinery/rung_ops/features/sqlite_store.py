"""The embedded feature store: one SQLite file, which is replaced as a whole.

It is in the folder of the releases, which every process of the service already reads.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from rung_ops.features.store import FeatureStoreError, LookupResult, StoredView
from rung_ops.project import release_folders
from rung_ops.project.paths import shown
from rung_ops.system import atomic
from rung_ops.system.files import stamp

# KiB. Not mapped into memory: copying over a mapped file kills the process that reads it.
CACHE = 16_384
MAX_KEYS = 500  # of one query
SCHEMA = """
CREATE TABLE views (id TEXT PRIMARY KEY, as_of INTEGER NOT NULL, names TEXT NOT NULL);
CREATE TABLE numbers (view TEXT, entity BLOB, packed BLOB NOT NULL, PRIMARY KEY (view, entity))
    WITHOUT ROWID;
"""


def path() -> Path:
    """Return the path of the store: `features.sqlite` in the folder of the releases."""
    return release_folders.releases() / "features.sqlite"


class SqliteStore:
    """A feature store in a file; opened again when another one has taken its name.

    Attributes:
        name: for people.
    """

    def __init__(self, file: Path) -> None:
        """Open nothing yet."""
        self.name = shown(file)
        self._file = file
        self._stamp: object = None
        self._database: sqlite3.Connection | None = None
        self._as_of: dict[str, int] = {}

    def write(self, views: Sequence[StoredView]) -> None:
        """Replace the file by one with these views, atomically."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with atomic.writing(self._file) as draft, closing(sqlite3.connect(draft)) as database:
                _fill(database, views)
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
            for view, asked in keys.items():
                if view in self._as_of:
                    rows: dict[bytes, bytes] = {}
                    for start in range(0, len(asked), MAX_KEYS):
                        some = asked[start : start + MAX_KEYS]
                        rows.update(database.execute(_select(len(some)), (view, *some)).fetchall())
                    packed[view] = list(map(rows.get, asked))
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


def _select(number: int) -> str:
    places = ",".join("?" * number)
    return f"SELECT entity, packed FROM numbers WHERE view = ? AND entity IN ({places})"


def _fill(database: sqlite3.Connection, views: Sequence[StoredView]) -> None:
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
