"""The address of the store of runs and model versions, without importing MLflow, which is slow."""

import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rung_ops.errors import StageError
from rung_ops.project import current
from rung_ops.project.paths import policy_file, shown

SQLITE = "sqlite:///"


def local_store() -> Path:
    """Return the path of the store that is used without a server."""
    return current().root / "mlflow.db"


def settings_file() -> Path:
    """Return the path of ops/tracking.toml."""
    return policy_file("tracking.toml")


# exists in projects with a tracking server
# Set while runs are recorded locally because the server is down; these runs are tagged WAITING.
LOCAL_ONLY = "TRACKING_LOCAL_ONLY"


# What may stand under [server] in ops/tracking.toml, in words.
VALUES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "uri": (lambda value: isinstance(value, str) and "://" in value, "an address"),
    "when_down": (lambda value: value in ("stop", "continue"), '"stop" or "continue"'),
    "timeout_seconds": (
        lambda value: type(value) in (int, float) and value > 0,
        "a number of seconds above 0",
    ),
}


def policy() -> dict[str, Any]:
    """Read [server] of ops/tracking.toml; empty without that file.

    Raises:
        StageError: a value is unknown, or is not what it has to be.
    """
    if not settings_file().is_file():
        return {}
    server = tomllib.loads(settings_file().read_text(encoding="utf-8")).get("server", {})
    for name, value in server.items():
        if name not in VALUES:
            known = ", ".join(VALUES)
            raise StageError(
                f"{shown(settings_file())}: [server] {name} is unknown. There are: {known}."
            )
        allowed, words = VALUES[name]
        if not allowed(value):
            raise StageError(
                f"{shown(settings_file())}: [server] {name} is {value!r}; it must be {words}."
            )
    return dict(server)


def local_uri() -> str:
    """Return the address of the store in the project's folder."""
    return f"{SQLITE}{local_store()}"


def tracking_uri() -> str:
    """Return the address of the store: $MLFLOW_TRACKING_URI, ops/tracking.toml, or the local one."""
    if os.environ.get(LOCAL_ONLY):
        return local_uri()
    return os.environ.get("MLFLOW_TRACKING_URI") or policy().get("uri") or local_uri()
