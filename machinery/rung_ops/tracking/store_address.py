"""The address of the store of runs and model versions, without importing MLflow, which is slow."""

import os
import tomllib
from collections.abc import Callable
from typing import Any

from rung_ops.project.errors import StageError
from rung_ops.project.paths import ROOT, policy_file, shown

SQLITE = "sqlite:///"
STORE = ROOT / "mlflow.db"
POLICY = policy_file("tracking.toml")  # exists in projects with a tracking server
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
    if not POLICY.is_file():
        return {}
    server = tomllib.loads(POLICY.read_text(encoding="utf-8")).get("server", {})
    for name, value in server.items():
        if name not in VALUES:
            known = ", ".join(VALUES)
            raise StageError(f"{shown(POLICY)}: [server] {name} is unknown. There are: {known}.")
        allowed, words = VALUES[name]
        if not allowed(value):
            raise StageError(f"{shown(POLICY)}: [server] {name} is {value!r}; it must be {words}.")
    return dict(server)


def local_uri() -> str:
    """Return the address of the store in the project's folder."""
    return f"{SQLITE}{STORE}"


def tracking_uri() -> str:
    """Return the address of the store: $MLFLOW_TRACKING_URI, ops/tracking.toml, or the local one."""
    if os.environ.get(LOCAL_ONLY):
        return local_uri()
    return os.environ.get("MLFLOW_TRACKING_URI") or policy().get("uri") or local_uri()
