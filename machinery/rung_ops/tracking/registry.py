"""The MLflow store of training runs and model versions."""

import logging
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException as MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
from mlflow.tracking import MlflowClient

from rung_ops.errors import StageError
from rung_ops.project import current
from rung_ops.project.paths import project_name
from rung_ops.system.printable import printable
from rung_ops.tracking import server_check, store_address
from rung_ops.tracking.server_check import ServerDownError as ServerDownError
from rung_ops.tracking.store_address import LOCAL_ONLY, SQLITE, policy, tracking_uri

FOLDER = "mlruns"  # MLflow's default name of the artifact folder, beside the store
# Columns with paths, by table of MLflow.
PATHS = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}


def fix_paths(store: Path) -> int:
    """Correct paths to missing files that exist beside the SQLite store; return their number."""
    if not store.is_file():
        return 0
    corrected = 0
    with closing(sqlite3.connect(store, timeout=60)) as opened, opened:
        tables = {name for (name,) in opened.execute("SELECT name FROM sqlite_master")}
        for table, column in PATHS.items():
            if table not in tables:  # another version of MLflow
                continue
            query = f"SELECT DISTINCT {column} FROM {table} WHERE {column} IS NOT NULL"
            for (recorded,) in opened.execute(query).fetchall():
                actual = _actual_path(recorded, store.parent.absolute() / FOLDER)
                if actual is not None:
                    change = f"UPDATE {table} SET {column} = ? WHERE {column} = ?"
                    corrected += opened.execute(change, (actual, recorded)).rowcount
    return corrected


def _actual_path(recorded: str, folder: Path) -> str | None:
    """Return the path below the folder that replaces a missing one; None if not needed."""
    parts = urlsplit(recorded)
    if parts.scheme not in ("", "file"):
        return None
    old = Path(unquote(parts.path))
    if old.exists() or FOLDER not in old.parts:
        return None
    below = old.parts[len(old.parts) - old.parts[::-1].index(FOLDER) :]
    new = folder.joinpath(*below)
    if not new.exists():
        return None
    return new.as_uri() if parts.scheme else str(new)


WAITING = "waiting_for_server"
CHALLENGER = "challenger"
CHAMPION = "champion"
# Error codes of MLflow for an unknown version or model, and for an unknown alias.
NOT_FOUND = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
MOST_LISTED = 10  # versions that a message names, the newest ones


class NoVersionError(MlflowException, StageError):
    """There is no such version of the model; the message says which there are, and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(message, error_code=RESOURCE_DOES_NOT_EXIST)


def client() -> MlflowClient:
    """Open the store; a local one is created if it does not exist."""
    for logger in ("alembic", "mlflow"):
        logging.getLogger(logger).setLevel(logging.WARNING)
    uri = tracking_uri()
    if uri.startswith(SQLITE):
        fix_paths(Path(uri.removeprefix(SQLITE)))
    if server_check.is_server(uri):
        server_check.require(uri, policy().timeout_seconds)
    mlflow.set_tracking_uri(uri)
    return MlflowClient()


def recorder() -> MlflowClient:
    """Open the store to record a run; the local one if the server is down and the policy allows it."""
    try:
        store = client()
    except ServerDownError as down:
        record_locally(down)
        store = client()
    _start_experiment(store)
    return store


def continues_without_server() -> bool:
    """Return whether training continues if the server is down, as ops/tracking.toml says."""
    return policy().when_down == "continue"


def record_locally(down: ServerDownError) -> None:
    """Record runs in the local store from now on, also in child processes, if the policy allows it."""
    if not continues_without_server():
        raise down
    os.environ[LOCAL_ONLY] = "1"
    print(
        f"{down}\nThe run is recorded in {store_address.local_store().name} and waits for the server: "
        "`uv run poe track-sync`, or the next `uv run poe pipeline`, copies it there.",
        file=sys.stderr,
    )


def run_tags() -> dict[str, str]:
    """Return the tags of a new run: WAITING if it must be copied to the server later."""
    return {WAITING: "true"} if os.environ.get(LOCAL_ONLY) else {}


def model_name() -> str:
    """Return the name of the registered model, which is the project's name."""
    return project_name()


def version(wanted: str) -> ModelVersion:
    """Find a version of the model by its number or its alias."""
    store = client()
    try:
        if wanted.isdecimal():
            return store.get_model_version(model_name(), wanted)
        return store.get_model_version_by_alias(model_name(), wanted)
    except MlflowException as error:
        if error.error_code not in NOT_FOUND:
            raise
        raise NoVersionError(_without(wanted)) from error


def _without(wanted: str) -> str:
    lacks = f"There is no version {printable(wanted)} of {model_name()}"
    numbers = [str(each.version) for each in versions()]
    if not numbers:
        return f"{lacks}: the registry has none yet. `uv run poe pipeline` makes the first one."
    older = len(numbers) - MOST_LISTED
    listed = ", ".join(numbers[:MOST_LISTED]) + (f" and {older:,} older ones" if older > 0 else "")
    return f"{lacks}: the registry has {listed}. Type the command again with one of these."


def reason_of(error: MlflowException) -> str:
    """Say in a sentence or two why version() gave none."""
    if isinstance(error, NoVersionError):
        return str(error)
    return f"The registry failed: {str(error).strip().splitlines()[0]}"


def versions() -> list[ModelVersion]:
    """List all versions of the model, newest first."""
    unsorted = client().search_model_versions(f"name='{model_name()}'")
    return sorted(unsorted, key=lambda each: int(each.version), reverse=True)


def _start_experiment(store: MlflowClient) -> None:
    """Set the project's experiment as the active one; create it if it does not exist."""
    if store.get_experiment_by_name(model_name()) is None:
        is_elsewhere = os.environ.get("MLFLOW_TRACKING_URI")
        artifacts = None if is_elsewhere else (current().root / FOLDER).as_uri()
        store.create_experiment(model_name(), artifact_location=artifacts)
    mlflow.set_experiment(model_name())
