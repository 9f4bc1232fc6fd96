"""Which feature store this project has: ops/features.toml names a server, else it is a file."""

import os
import tomllib
from pathlib import Path

from rung_ops.features.sqlite_store import SqliteStore, path
from rung_ops.features.store import FeatureStore, StoreError
from rung_ops.project import current, model_folders
from rung_ops.project.paths import policy_file, shown


def settings_file() -> Path:
    """Return the path of ops/features.toml."""
    return policy_file("features.toml")


ADDRESS = "REDIS_URL"
TIMEOUT = 20.0  # ms
MAX_TIMEOUT = 1_000.0  # ms


def timeout(file: Path | None = None) -> float:
    """Read how long a look-up may wait for the server, in milliseconds.

    Raises:
        StoreError: the file cannot be used.
    """
    file = settings_file() if file is None else file
    try:
        given = tomllib.loads(file.read_text(encoding="utf-8")).get("redis", {})
    except (tomllib.TOMLDecodeError, OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{shown(file)}: cannot be read ({error}). Fix it.") from error
    if not isinstance(given, dict) or given.keys() - {"timeout_ms"}:
        raise StoreError(f"{shown(file)}: expected a table [redis] with `timeout_ms` and no more.")
    limit = given.get("timeout_ms", TIMEOUT)
    if (
        isinstance(limit, bool)
        or not isinstance(limit, int | float)
        or not 0 < limit <= MAX_TIMEOUT
    ):
        raise StoreError(
            f"{shown(file)}: `timeout_ms` is {limit!r}; expected more than 0, at most {MAX_TIMEOUT:g}."
        )
    return float(limit)


def project_store() -> FeatureStore:
    """Return the feature store of this model.

    Raises:
        StoreError: it is a server, and its address or its settings cannot be used.
    """
    if not settings_file().is_file():
        return SqliteStore(path())
    address = os.environ.get(ADDRESS, "")
    if not address:
        raise StoreError(
            f"{ADDRESS} is not set; {shown(settings_file())} says that the store is a server"
        )
    # Imported here: only projects whose store is a server have the package.
    from rung_ops.features.redis_store import RedisStore

    return RedisStore(
        address, model_folders.package(current().root), timeout(settings_file()) / 1000
    )
