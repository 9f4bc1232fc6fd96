"""Where training runs and model versions are recorded."""

import logging
import os
import sys
from pathlib import Path

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from rung_ops.project.paths import ROOT, project_name
from rung_ops.tracking import relocate, server_check, store_address
from rung_ops.tracking.server_check import ServerDownError
from rung_ops.tracking.store_address import ASIDE, SQLITE, policy, tracking_uri

WAITING = "waiting_for_server"
CHALLENGER = "challenger"
CHAMPION = "champion"


def client() -> MlflowClient:
    """Open the store; a new one is made where there is none.

    Raises:
        ServerDownError: it is a server, and it does not answer.
    """
    for chatty in ("alembic", "mlflow"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    uri = tracking_uri()
    if uri.startswith(SQLITE):
        relocate.bring_home(Path(uri.removeprefix(SQLITE)))
    if server_check.is_server(uri):
        server_check.demand(uri, policy().get("timeout_seconds", server_check.SECONDS))
    mlflow.set_tracking_uri(uri)
    return MlflowClient()


def recorder() -> MlflowClient:
    """Open the store for runs of the project, or the local one where ops/tracking.toml allows that.

    Raises:
        ServerDownError: the server does not answer, and ops/tracking.toml says to stop then.
    """
    try:
        store = client()
    except ServerDownError as down:
        if not goes_on():
            raise
        go_aside(str(down))
        store = client()
    start_experiment()
    return store


def goes_on() -> bool:
    """Tell whether training goes on without the server."""
    return policy().get("when_down", "stop") == "continue"


def go_aside(reason: str) -> None:
    """Record here from now on, and in the programs that this one starts."""
    os.environ[ASIDE] = "1"
    print(
        f"{reason}\nThe run is recorded in {store_address.STORE.name} and waits there: "
        "`uv run poe track-sync`, or the next `uv run poe pipeline`, brings it to the server.",
        file=sys.stderr,
    )


def marks() -> dict[str, str]:
    """Give the tags that a run gets from where it is recorded."""
    return {WAITING: "true"} if os.environ.get(ASIDE) else {}


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
    "ServerDownError",
    "client",
    "marks",
    "model_name",
    "recorder",
    "start_experiment",
    "version",
    "versions",
]
