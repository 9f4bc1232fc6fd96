"""Which store holds runs and model versions: said without MLflow, which takes seconds to import."""

import os
import tomllib
from typing import Any

from rung_ops.project.paths import ROOT, policy_file

SQLITE = "sqlite:///"
STORE = ROOT / "mlflow.db"
POLICY = policy_file("tracking.toml")  # there where runs are recorded by a server
# Set where a run is recorded here because the server is down; its runs carry the tag.
ASIDE = "TRACKING_ASIDE"


def policy() -> dict[str, Any]:
    """Read what ops/tracking.toml says of the server; empty where there is none."""
    if not POLICY.is_file():
        return {}
    return dict(tomllib.loads(POLICY.read_text(encoding="utf-8")).get("server", {}))


def local_uri() -> str:
    """Name the store in the project's own folder."""
    return f"{SQLITE}{STORE}"


def tracking_uri() -> str:
    """Name the store: what MLFLOW_TRACKING_URI or ops/tracking.toml says, or a local SQLite file."""
    if os.environ.get(ASIDE):
        return local_uri()
    return os.environ.get("MLFLOW_TRACKING_URI") or policy().get("uri") or local_uri()
