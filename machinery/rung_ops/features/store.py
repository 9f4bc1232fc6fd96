"""The embedded feature store: one SQLite file with a blob of numbers for each entity and view.

The file is replaced as a whole, so a reader sees the values before or after, never a mix. It lies in
the folder of the releases, which every process of the service reads already.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rung_ops.release import paths
from rung_ops.system import atomic

NUMBERS = np.dtype("<f8")  # NaN where there is no value
# KiB. Not mapped into memory: whoever copies over a mapped file kills the process that reads it.
CACHE = 16_384
SCHEMA = """
CREATE TABLE views (id TEXT PRIMARY KEY, as_of INTEGER NOT NULL, names TEXT NOT NULL);
CREATE TABLE numbers (view TEXT, entity BLOB, packed BLOB NOT NULL, PRIMARY KEY (view, entity))
    WITHOUT ROWID;
"""


class StoreError(Exception):
    """The store is missing, or is not one; the message says which."""


class StoredView(NamedTuple):
    """The values of a view for all entities.

    Attributes:
        id: of the declarations.
        as_of: what the values are of, in microseconds since 1970, UTC.
        names: of the features.
        entities: a key for each, from key_of().
        numbers: shape (n_entities, n_features); NaN for no value.
    """

    id: str
    as_of: int
    names: list[str]
    entities: list[bytes]
    numbers: np.ndarray


def path() -> Path:
    """Return where the store lies: `features.sqlite` in the folder of the releases."""
    return paths.releases() / "features.sqlite"


def key_of(values: Iterable[Any]) -> bytes:
    """Write what names an entity, as bytes: each value with its length, so that no two are alike."""
    texts = ("-" if value is None else str(value) for value in values)
    return "".join([f"{len(text)}:{text}" for text in texts]).encode()


def write(views: Iterable[StoredView], file: Path) -> None:
    """Replace the store by one with these views, atomically.

    Raises:
        OSError, sqlite3.Error: it could not be written; the one before stays.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic.writing(file) as draft, closing(sqlite3.connect(draft)) as database:
        # A draft is synced and renamed when it is whole, so a journal beside it has no use.
        database.execute("PRAGMA journal_mode=OFF")
        database.executescript(SCHEMA)
        for view in views:
            packed = np.ascontiguousarray(view.numbers, NUMBERS)
            database.execute(
                "INSERT INTO views VALUES (?, ?, ?)", (view.id, view.as_of, json.dumps(view.names))
            )
            database.executemany(
                "INSERT INTO numbers VALUES (?, ?, ?)",
                (
                    (view.id, entity, row.tobytes())
                    for entity, row in zip(view.entities, packed, strict=True)
                ),
            )
        database.commit()


def connect(file: Path) -> sqlite3.Connection:
    """Open the store for reading, by any thread, one at a time.

    Raises:
        StoreError: there is none, or it cannot be read.
    """
    if not file.is_file():
        raise StoreError(f"{file.name} is missing in {file.parent.name}/")
    try:
        # It never changes: another one takes its name.
        address = f"{file.resolve().as_uri()}?mode=ro&immutable=1"
        database = sqlite3.connect(address, uri=True, check_same_thread=False)
        database.execute(f"PRAGMA cache_size=-{CACHE}")
        return database
    except sqlite3.Error as error:
        raise StoreError(f"{file.name} cannot be opened: {error}") from error


def as_of(database: sqlite3.Connection) -> dict[str, int]:
    """Return what the values of each view are of, in microseconds since 1970, UTC, by its id.

    Raises:
        StoreError: it is not a feature store.
    """
    try:
        return dict(database.execute("SELECT id, as_of FROM views").fetchall())
    except sqlite3.Error as error:
        raise StoreError(f"it is not a feature store: {error}") from error


def read(database: sqlite3.Connection, view: str) -> StoredView:
    """Read all values of a view.

    Raises:
        StoreError: it has none.
    """
    try:
        moment, names = database.execute(
            "SELECT as_of, names FROM views WHERE id = ?", (view,)
        ).fetchone() or (0, "[]")
        asked = "SELECT entity, packed FROM numbers WHERE view = ? ORDER BY entity"
        rows = database.execute(asked, (view,)).fetchall()
    except sqlite3.Error as error:
        raise StoreError(f"it is not a feature store: {error}") from error
    features = json.loads(names)
    if not features:
        raise StoreError(f"it has no view {view}")
    numbers = np.frombuffer(b"".join(packed for _, packed in rows), NUMBERS)
    shaped = numbers.reshape(len(rows), len(features))
    return StoredView(view, moment, features, [entity for entity, _ in rows], shaped)


def refuse_unless_filled(views: Sequence[dict[str, Any]], file: Path) -> dict[str, int]:
    """Refuse a store that lacks the values of a view, as it was declared when it was released.

    Args:
        views: `entity_features` of a release's contract.
        file: the store.

    Returns:
        as_of().

    Raises:
        StoreError: the store is missing, or was filled by other declarations.
    """
    advice = "Run `uv run rung-ops features materialize`"
    try:
        with closing(connect(file)) as database:
            filled = as_of(database)
    except StoreError as error:
        raise StoreError(f"its entity features have no store: {error}. {advice}") from error
    for view in views:
        if view["id"] not in filled:
            names = ", ".join(feature["name"] for feature in view["features"])
            raise StoreError(
                f"the store has no values of its entity features {names}: it is empty, or they were "
                f"declared in another way when it was filled. {advice}"
            )
    return filled


def shown(moment: int) -> str:
    """Write a time of the store for people."""
    return datetime.fromtimestamp(moment / 1e6, UTC).isoformat(timespec="seconds")
