"""Which feature store this project has: ops/features.toml names a server, else it is a file."""

import os
from pathlib import Path
from typing import Annotated

import msgspec

from rung_ops import settings
from rung_ops.errors import SettingsError
from rung_ops.features.store import FeatureStore, FeatureStoreError, SqliteStore, store_file
from rung_ops.project import current, paths
from rung_ops.project.paths import policy_file, shown

ADDRESS = "REDIS_URL"


class _Redis(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    timeout_ms: Annotated[float, msgspec.Meta(gt=0, le=1_000)] = 20.0


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    redis: _Redis = _Redis()


def settings_file() -> Path:
    """Return the path of ops/features.toml."""
    return policy_file("features.toml")


def timeout(file: Path | None = None) -> float:
    """Read how long a look-up may wait for the server, in milliseconds."""
    return settings.read(settings_file() if file is None else file, _File).redis.timeout_ms


def project_store() -> FeatureStore:
    """Return the feature store of this model."""
    if not settings_file().is_file():
        return SqliteStore(store_file())
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
    return RedisStore(address, paths.package_of(current().root), seconds)
