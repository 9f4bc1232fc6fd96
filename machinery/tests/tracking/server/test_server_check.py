"""An unusable server is reported at once, with what to do."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from mlflow.exceptions import MlflowException, RestException

from machinery.tests.conftest import RunVerb
from machinery.tests.tracking.server.conftest import policy
from rung_ops.tracking import registry, server, store_address

Answering = Callable[[int, str], str]


@pytest.fixture
def answering() -> Iterator[Answering]:
    """Start servers that answer every request alike; each call returns an address."""
    started = []

    def start(status: int, text: str) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.send_response(status)
                kind = "application/json" if text.startswith("{") else "text/plain"
                self.send_header("content-type", kind)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=listening.serve_forever, args=(0.05,), daemon=True).start()
        started.append(listening)
        return f"http://127.0.0.1:{listening.server_port}"

    yield start
    for running in started:
        running.shutdown()
        running.server_close()


def test_a_server_that_is_slow_names_the_setting_that_waits_longer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        problem = registry.server_problem(f"http://127.0.0.1:{silent.getsockname()[1]}", 0.1)

    assert problem is not None
    assert "timed out. It was given 0.1 s: `timeout_seconds` under [server]" in problem


def test_a_server_that_answers_is_not_a_problem(answering: Answering) -> None:
    assert registry.server_problem(answering(200, json.dumps({"experiments": []}))) is None


@pytest.mark.parametrize(
    ("status", "text", "message"),
    [
        (401, "You are not authenticated", "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"),
        (403, "Permission denied", "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"),
        (403, "Invalid Host header", "TRACKING_HOSTS"),
        (500, "could not connect to the database", "could not connect to the database"),
        (404, "not here", "not an MLflow server"),
        (200, "<html>welcome</html>", "not an MLflow server"),
    ],
)
def test_every_other_answer_says_what_to_do(
    answering: Answering, status: int, text: str, message: str
) -> None:
    uri = answering(status, text)
    reported = registry.server_problem(uri) or ""

    assert uri in reported
    assert message in reported


def test_a_closed_port_is_refused_at_once(free_port: int) -> None:
    reported = registry.server_problem(f"http://127.0.0.1:{free_port}") or ""

    assert "connection refused" in reported
    assert "`uv run poe tracking-server`" in reported


def test_who_does_not_catch_it_ends_with_the_message(free_port: int) -> None:
    """As SystemExit does; and whoever can go on without a registry catches an MlflowException."""
    with pytest.raises(SystemExit) as ended:
        registry.require_server(f"http://127.0.0.1:{free_port}")

    assert isinstance(ended.value, MlflowException)
    assert "does not answer" in str(ended.value.code)


WELL = json.dumps({"experiments": []})
FAILED = requests.HTTPError("Server Error")
# Where its store refuses a file, the server may close the connection before it has read it.
RESET = requests.ConnectionError("Connection reset by peer")
DENIED = RestException({"error_code": "PERMISSION_DENIED", "message": "not yours"})


@pytest.mark.parametrize(
    ("status", "text", "raised", "message"),
    [
        (401, "Who are you", FAILED, "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"),
        (503, "no database", FAILED, "503: no database"),
        (200, WELL, FAILED, "check its artifact store"),
        (200, WELL, RESET, "reset by peer. Its database works, so check its artifact store"),
        (200, WELL, DENIED, "MLFLOW_TRACKING_USERNAME"),
    ],
)
def test_a_failure_in_the_middle_says_which_part_failed(
    answering: Answering, status: int, text: str, raised: Exception, message: str
) -> None:
    uri = answering(status, text)

    with (
        pytest.raises(registry.ServerDownError) as ended,
        registry.server_errors(lambda: uri, "Again."),
    ):
        raise raised

    reported = str(ended.value.code)
    assert uri in reported and message in reported and reported.endswith("Again.")


def test_a_version_that_does_not_exist_is_no_failure_of_the_server() -> None:
    with (
        pytest.raises(registry.NoVersionError),
        registry.server_errors(lambda: "http://one.example.org", "Again."),
    ):
        raise registry.NoVersionError("There is no version champion.")


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    assert store_address.tracking_uri() == store_address.local_uri()

    policy(store_address.settings_file(), "http://one.example.org")
    assert store_address.tracking_uri() == "http://one.example.org"

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://two.example.org")
    assert store_address.tracking_uri() == "http://two.example.org"


@pytest.mark.parametrize(
    ("when_down", "code", "message"),
    [("stop", 1, "Nothing was trained"), ("continue", 0, "Training continues")],
)
def test_the_file_says_whether_training_starts_without_the_server(
    free_port: int, run_verb: RunVerb, when_down: str, code: int, message: str
) -> None:
    policy(store_address.settings_file(), f"http://127.0.0.1:{free_port}", when_down)

    ended, output = run_verb(server.check_ready)

    assert (ended, message in output) == (code, True)


def test_a_run_is_recorded_here_and_marked(tmp_path: Path, free_port: int) -> None:
    policy(store_address.settings_file(), f"http://127.0.0.1:{free_port}", "continue")
    assert registry.run_tags() == {}

    store = registry.recorder()

    assert store_address.local_store().is_file()
    assert store.get_experiment_by_name(registry.model_name()) is not None
    assert registry.run_tags() == {registry.WAITING: "true"}


def test_a_run_is_not_recorded_elsewhere_where_the_file_says_stop(free_port: int) -> None:
    policy(store_address.settings_file(), f"http://127.0.0.1:{free_port}")

    with pytest.raises(registry.ServerDownError):
        registry.recorder()

    assert not store_address.local_store().is_file()
