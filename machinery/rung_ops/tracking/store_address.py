"""The address of the store of runs and model versions, without importing MLflow, which is slow."""

import os
import tomllib
from typing import Any

from rung_ops.project.paths import ROOT, policy_file

SQLITE = "sqlite:///"
STORE = ROOT / "mlflow.db"
POLICY = policy_file("tracking.toml")  # exists in projects with a tracking server
# Set while runs are recorded locally because the server is down; these runs are tagged WAITING.
LOCAL_ONLY = "TRACKING_LOCAL_ONLY"


def policy() -> dict[str, Any]:
    """Read [server] of ops/tracking.toml; empty without that file."""
    if not POLICY.is_file():
        return {}
    return dict(tomllib.loads(POLICY.read_text(encoding="utf-8")).get("server", {}))


def local_uri() -> str:
    """Return the address of the store in the project's folder."""
    return f"{SQLITE}{STORE}"


def tracking_uri() -> str:
    """Return the address of the store: $MLFLOW_TRACKING_URI, ops/tracking.toml, or the local one."""
    if os.environ.get(LOCAL_ONLY):
        return local_uri()
    return os.environ.get("MLFLOW_TRACKING_URI") or policy().get("uri") or local_uri()
