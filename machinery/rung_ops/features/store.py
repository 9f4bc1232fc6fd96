"""The feature store: a blob of numbers for each entity and view, in a file or on a server.

A new filling takes the place of the old one as a whole, so a reader sees the values before or after,
never a mix.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Protocol

import msgspec
import numpy as np

from rung_ops import settings
from rung_ops.errors import OpsError, SettingsError
from rung_ops.project import current, model_folders
from rung_ops.project.paths import policy_file, shown

ADDRESS = "REDIS_URL"
NUMBERS = np.dtype("<f8")  # NaN where there is no value


class _Redis(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    timeout_ms: Annotated[float, msgspec.Meta(gt=0, le=1_000)] = 20.0


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    redis: _Redis = _Redis()


class FeatureStoreError(OpsError):
    """The store is missing, does not answer, or is not one; the message says which."""


class UnreachableError(FeatureStoreError):
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
    """The features that a store holds of some entities.

    Attributes:
        as_of: what the values are of, by the id of each view that the store has.
        packed: numbers of each entity asked for, by view, in the order of the keys; None for none.
    """

    as_of: Mapping[str, int]
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
    """Write what names each entity, as bytes: each value with its length, so that no two are alike.

    Args:
        columns: of the entity, each with a value for every row.
    """
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
    """Refuse a store that lacks the values of a view, as it was declared when it was released.

    Args:
        views: `entity_features` of a release's contract.
        filled: the store.

    Returns:
        Its as_of().

    Raises:
        UnreachableError: its server does not answer.
        FeatureStoreError: the store is missing, or was filled by other declarations.
    """
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


def settings_file() -> Path:
    """Return the path of ops/features.toml."""
    return policy_file("features.toml")


def timeout(file: Path | None = None) -> float:
    """Read how long a look-up may wait for the server, in milliseconds.

    Raises:
        SettingsError: the file is not valid TOML, or has an unknown name or a wrong value.
    """
    return settings.read(settings_file() if file is None else file, _File).redis.timeout_ms


def project_store() -> FeatureStore:
    """Return the feature store of this model.

    Raises:
        FeatureStoreError: it is a server, and its address or its settings cannot be used.
    """
    if not settings_file().is_file():
        from rung_ops.features.sqlite_store import SqliteStore, path

        return SqliteStore(path())
    address = os.environ.get(ADDRESS, "")
    if not address:
        raise FeatureStoreError(
            f"{ADDRESS} is not set; {shown(settings_file())} says that the store is a server"
        )
    # Imported here: only projects whose store is a server have the package.
    from rung_ops.features.redis_store import RedisStore

    try:
        seconds = timeout() / 1000
    except SettingsError as error:
        raise FeatureStoreError(str(error)) from error
    return RedisStore(address, model_folders.package(current().root), seconds)
