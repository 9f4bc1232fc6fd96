"""Where training runs and model versions are recorded.

Rung keeps this file; change it through src/ and params.toml.
"""

import logging
import os
from pathlib import Path

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from ops import moved
from ops.settings import ROOT, project_name

SQLITE = "sqlite:///"
STORE = ROOT / "mlflow.db"
CHALLENGER = "challenger"
CHAMPION = "champion"


def tracking_uri() -> str:
    """Name the store: what MLFLOW_TRACKING_URI says, or a local SQLite file."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}{STORE}"


def client() -> MlflowClient:
    """Open the store; a new one is made where there is none."""
    for chatty in ("alembic", "mlflow"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    uri = tracking_uri()
    if uri.startswith(SQLITE):
        moved.bring_home(Path(uri.removeprefix(SQLITE)))
    mlflow.set_tracking_uri(uri)
    return MlflowClient()


def model_name() -> str:
    """Name the model as the registry knows it: the project's name."""
    return project_name()


def version(asked: str) -> ModelVersion:
    """Find a version of the model by its number or its alias.

    Raises:
        mlflow.exceptions.MlflowException: there is no such version.
    """
    store = client()
    if asked.isdecimal():
        return store.get_model_version(model_name(), asked)
    return store.get_model_version_by_alias(model_name(), asked)


def versions() -> list[ModelVersion]:
    """List all versions of the model, the newest first."""
    found = client().search_model_versions(f"name='{model_name()}'")
    return sorted(found, key=lambda each: int(each.version), reverse=True)


def start_experiment() -> None:
    """Make the project's experiment the one that runs are written to."""
    store = client()
    if store.get_experiment_by_name(model_name()) is None:
        artifacts = None if os.environ.get("MLFLOW_TRACKING_URI") else (ROOT / "mlruns").as_uri()
        store.create_experiment(model_name(), artifact_location=artifacts)
    mlflow.set_experiment(model_name())


__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "MlflowException",
    "client",
    "model_name",
    "start_experiment",
    "tracking_uri",
    "version",
    "versions",
]
