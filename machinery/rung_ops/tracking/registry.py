"""The MLflow store of training runs and model versions, and whether its server responds.

MLflow itself retries for minutes and then shows a traceback, so work begins with one request. MLflow's client
hides the status of an answer, so this module, and no other, uses mlflow.utils: with whatever credentials
MLflow knows. The bound on MLflow in pyproject.toml holds for that, too.
"""

import logging
import os
import re
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import mlflow
import requests
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException as MlflowException
from mlflow.exceptions import RestException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, TEMPORARILY_UNAVAILABLE
from mlflow.tracking import MlflowClient
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request

from rung_ops.errors import StageError
from rung_ops.project import current
from rung_ops.project.paths import project_name
from rung_ops.system.printable import printable
from rung_ops.tracking import store_address
from rung_ops.tracking.store_address import LOCAL_ONLY, SQLITE, policy, tracking_uri

ENDPOINT = "/api/2.0/mlflow/experiments/search"  # needs credentials and the database
SECONDS = 5.0
WHERE = (
    "To start it on this machine, run `uv run poe tracking-server`. If it runs elsewhere, correct "
    "`uri` in ops/tracking.toml, or MLFLOW_TRACKING_URI."
)
FILES = (
    "Its database works, so check its artifact store: whether it runs, accepts the server's key "
    "and clock, and whether its disk is full. The server's log shows the cause."
)
TIMED_OUT = "timed out"
LONGER = "It was given {seconds:g} s: `timeout_seconds` under [server] in ops/tracking.toml gives it more. "
LONGER_DURING = "MLFLOW_HTTP_REQUEST_TIMEOUT (in seconds) gives it more time for an answer. "
NOT_THERE = ("connection refused", "name or service not known")
# What a server that runs may also cause: it ends an upload that its artifact store refuses.
KNOWN = (*NOT_THERE, TIMED_OUT, "reset by peer")
REFUSALS = (401, 403)
CREDENTIALS = "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD to those of its users."


class ServerDownError(MlflowException, SystemExit):
    """The server cannot be used; the message says where, why and what to do.

    Catch it as an MlflowException to continue without a registry. Uncaught, it ends the program like
    SystemExit: with the message and exit code 1, without a traceback.
    """

    def __init__(self, message: str) -> None:
        MlflowException.__init__(self, message, error_code=TEMPORARILY_UNAVAILABLE)
        self.code = message  # of SystemExit


def is_server(uri: str) -> bool:
    """Return whether a store is a server, not a local file."""
    return uri.startswith(("http://", "https://"))


def server_problem(uri: str, seconds: float = SECONDS) -> str | None:
    """Send one request to the server; return the problem as a sentence, None if it responds."""
    server = f"The MLflow server at {uri}"
    try:
        credentials = get_default_host_creds(uri.rstrip("/"))  # refuses settings that contradict
        response = http_request(
            *(credentials, ENDPOINT, "POST"),
            json={"max_results": 1},
            max_retries=0,
            timeout=seconds,
            raise_on_status=False,
        )
    except (MlflowException, requests.RequestException) as error:
        cause = _cause(error)
        longer = LONGER.format(seconds=seconds) if cause == TIMED_OUT else ""
        return f"{server} does not answer: {cause}. {longer}{WHERE}"
    status, text = response.status_code, " ".join(response.text.split())[:200]
    if status in REFUSALS:
        if "host" in text.lower():  # its protection against DNS rebinding
            return (
                f"{server} refuses this host name ({text}). Add it to TRACKING_HOSTS of the "
                "server, or use another of its names."
            )
        return f"{server} refuses the credentials ({status}: {text}). {CREDENTIALS}"
    if status >= 500:
        return (
            f"{server} responds with an error ({status}: {text}). See its log; often its database "
            "does not answer, or its disk is full."
        )
    if status != 200 or "json" not in response.headers.get("content-type", ""):
        return f"The server at {uri} is not an MLflow server (status {status}). {WHERE}"
    return None


@cache
def require_server(uri: str, seconds: float = SECONDS) -> None:
    """Check the server, once for each process; ServerDownError says why it cannot be used."""
    # About 15 s instead of minutes if the server fails during a command.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    if reason := server_problem(uri, seconds):
        raise ServerDownError(reason)


@contextmanager
def server_errors(store_uri: Callable[[], str], remedy: str) -> Iterator[None]:
    """Convert errors of a server that fails during the block to ServerDownError.

    `store_uri` returns the store that the block uses, and is called after an error; `remedy` says what to do.
    """
    try:
        yield
    except (ServerDownError, StageError):
        raise  # its message already says what happened
    except (MlflowException, requests.RequestException) as error:
        uri = store_uri()
        if not is_server(uri) or _is_client_error(error):
            raise
        raise ServerDownError(
            f"The MLflow server at {uri} failed during the command: {_cause(error)}. "
            f"{_diagnosis(error, uri)}{remedy}"
        ) from error


def _diagnosis(error: Exception, uri: str) -> str:
    """Return which part of a reachable server fails."""
    cause = _cause(error)
    if cause in NOT_THERE:
        return ""
    if reason := server_problem(uri):
        return f"{reason} "
    if cause == TIMED_OUT:
        return LONGER_DURING
    return f"{CREDENTIALS if _status(error) in REFUSALS else FILES} "


def _is_client_error(error: Exception) -> bool:
    """Return whether the server refused an invalid request, rather than the credentials, or failed."""
    status = _status(error)
    return status is not None and status < 500 and status not in REFUSALS


def _status(error: Exception) -> int | None:
    return int(error.get_http_status_code()) if isinstance(error, RestException) else None


def _cause(error: Exception) -> str:
    """Extract the short reason from the long text of the libraries."""
    text = " ".join(str(error).split())
    for known in KNOWN:
        if known in text.lower():
            return known
    if repeated := re.search(r"too many (\d{3}) error responses", text):
        return f"it repeatedly responds with status {repeated[1]}"
    return text.rsplit("Caused by ", 1)[-1].strip("() .")[:200]


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
    if is_server(uri):
        require_server(uri, policy().timeout_seconds)
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
