"""Whether the MLflow server answers, asked before work is spent on it.

MLflow itself tries for minutes and then shows a traceback.
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

ASKED = "/api/2.0/mlflow/experiments/search"  # goes through credentials and database
SECONDS = 5.0
# Some 15 s instead of minutes for a server that goes away in the middle.
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3"}
WHERE = (
    "If it should run on this machine, `uv run poe tracking-server` starts it. If it is elsewhere, "
    "correct `uri` in ops/tracking.toml, or MLFLOW_TRACKING_URI."
)
FILES = (
    "Its database answers, so look at the store of its files: whether it runs, takes the server's "
    "key and its clock, and whether its disk is full. The server's log says which."
)
KNOWN = ("connection refused", "name or service not known", "timed out", "reset by peer")
REFUSALS = (401, 403)
CREDENTIALS = "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD to those of its users."


class ServerDownError(MlflowException, SystemExit):
    """The server cannot be used; the message says where, why and what to do.

    Whoever can go on without a registry catches it as any MlflowException. Otherwise it ends the
    program as SystemExit does: with the message and exit code 1, without a traceback.
    """

    def __init__(self, message: str) -> None:
        """Take the message."""
        MlflowException.__init__(self, message, error_code=TEMPORARILY_UNAVAILABLE)
        self.code = message


def is_server(uri: str) -> bool:
    """Tell whether a store is asked over the network."""
    return uri.startswith(("http://", "https://"))


def problem(uri: str, seconds: float = SECONDS) -> str | None:
    """Ask the server once; say what is wrong, None where it answers.

    Args:
        uri: its address.
        seconds: how long it may take.
    """
    server = f"The MLflow server at {uri}"
    try:
        answer = http_request(
            get_default_host_creds(uri.rstrip("/")),
            ASKED,
            "POST",
            json={"max_results": 1},
            max_retries=0,
            timeout=seconds,
            raise_on_status=False,
        )
    except (MlflowException, requests.RequestException) as error:
        return f"{server} does not answer: {_cause(error)}. {WHERE}"
    if answer.status_code in REFUSALS:
        said = " ".join(answer.text.split())[:120]
        if "host" in said.lower():  # it guards against requests that a web page sends
            return (
                f"{server} does not want to be called by that name ({said}). Add the name to "
                "TRACKING_HOSTS of the server, or use another one of its names."
            )
        return f"{server} refuses who asks ({answer.status_code}: {said}). {CREDENTIALS}"
    if answer.status_code >= 500:
        said = " ".join(answer.text.split())[:200]
        return (
            f"{server} is there and cannot work ({answer.status_code}: {said}). Its log says more; "
            "often its database does not answer, or its disk is full."
        )
    if answer.status_code != 200 or "json" not in answer.headers.get("content-type", ""):
        return f"What answers at {uri} is no MLflow server (status {answer.status_code}). {WHERE}"
    return None


@cache
def demand(uri: str, seconds: float = SECONDS) -> None:
    """Return where the server answers; a program asks once.

    Raises:
        ServerDownError: it does not.
    """
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    if wrong := problem(uri, seconds):
        raise ServerDownError(wrong)


@contextmanager
def kept_up(named: Callable[[], str], remedy: str) -> Iterator[None]:
    """Turn what is raised when a server fails in the middle into a message.

    Args:
        named: names the store that the block writes to, asked when something went wrong.
        remedy: what to do then.

    Raises:
        ServerDownError: it stopped to answer, or refused what it was sent.
    """
    try:
        yield
    except ServerDownError:
        raise
    except (MlflowException, requests.RequestException) as error:
        uri = named()
        if not is_server(uri) or _answered(error):
            raise
        raise ServerDownError(
            f"The MLflow server at {uri} failed in the middle: {_cause(error)}. "
            f"{_whose_fault(error, uri)}{remedy}"
        ) from error


def _whose_fault(error: Exception, uri: str) -> str:
    """Tell which part of a server fails that takes requests and cannot fulfil them."""
    if _cause(error) in KNOWN:
        return ""
    wrong = problem(uri)
    if wrong is None:
        wrong = CREDENTIALS if isinstance(error, RestException) and _refused(error) else FILES
    return f"{wrong} "


def _answered(error: Exception) -> bool:
    """Tell a mistake of ours, that the server explains, from a failure of its own."""
    if not isinstance(error, RestException):
        return False
    return bool(error.get_http_status_code() < 500) and not _refused(error)


def _refused(error: RestException) -> bool:
    """Tell that whoever asks may not do that."""
    return error.get_http_status_code() in REFUSALS


def _cause(error: Exception) -> str:
    """Find the short reason in the long text that libraries wrap it in."""
    text = " ".join(str(error).split())
    for known in KNOWN:
        if known in text.lower():
            return known
    if again := re.search(r"too many (\d{3}) error responses", text):
        return f"it answers {again[1]} again and again"
    return text.rsplit("Caused by ", 1)[-1].strip("() .")[:200]
