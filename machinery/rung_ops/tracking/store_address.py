"""The address of the store of runs and model versions, without importing MLflow, which is slow."""

import os
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from rung_ops import settings
from rung_ops.project import current
from rung_ops.project.paths import policy_file

SQLITE = "sqlite:///"


def local_store() -> Path:
    """Return the path of the store that is used without a server."""
    return current().root / "mlflow.db"


def settings_file() -> Path:
    """Return the path of ops/tracking.toml."""
    return policy_file("tracking.toml")


# Set while runs are recorded locally because the server is down; these runs are tagged WAITING.
LOCAL_ONLY = "TRACKING_LOCAL_ONLY"


class ServerPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[server] of ops/tracking.toml, which projects with a tracking server have.

    Attributes:
        uri: address of the server; None for the store in the project's folder.
        when_down: whether training stops, or continues with a local store.
        timeout_seconds: how long to wait for an answer.
    """

    uri: Annotated[str, msgspec.Meta(pattern="://")] | None = None
    when_down: Literal["stop", "continue"] = "stop"
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0)] = 5.0


def policy() -> ServerPolicy:
    """Read [server] of ops/tracking.toml."""
    return settings.read(settings_file(), ServerPolicy, "server")


def local_uri() -> str:
    """Return the address of the store in the project's folder."""
    return f"{SQLITE}{local_store()}"


def tracking_uri() -> str:
    """Return the address of the store: $MLFLOW_TRACKING_URI, ops/tracking.toml, or the local one."""
    if os.environ.get(LOCAL_ONLY):
        return local_uri()
    return os.environ.get("MLFLOW_TRACKING_URI") or policy().uri or local_uri()
