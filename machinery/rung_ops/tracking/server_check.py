"""Check that the MLflow server responds before work depends on it.

MLflow itself retries for minutes and then shows a traceback. Its client hides the status of an answer,
so this module, and no other, uses mlflow.utils: with whatever credentials MLflow knows, one request. The
bound on MLflow in pyproject.toml holds for that, too.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import requests
from mlflow.exceptions import MlflowException, RestException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request

from rung_ops.errors import StageError

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


def problem(uri: str, seconds: float = SECONDS) -> str | None:
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
def require(uri: str, seconds: float = SECONDS) -> None:
    """Check the server, once for each process; ServerDownError says why it cannot be used."""
    # About 15 s instead of minutes if the server fails during a command.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    if reason := problem(uri, seconds):
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
    if reason := problem(uri):
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
