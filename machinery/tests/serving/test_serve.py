"""The service as a process: it starts, answers, and ends without losing a request."""

import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from machinery.tests.serving.calls import soon
from machinery.tests.serving.conftest import Environment
from rung_ops import prediction_log
from rung_ops.project import current
from rung_ops.project.service_settings import Limits
from rung_ops.release import library, state
from rung_ops.serving import access, serve, server
from rung_ops.serving.metrics import Metrics
from rung_ops.system.processes import free_port

NOWHERE = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}


class Process:
    """A service that runs by itself."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.port = free_port()
        self.log = folder / "service.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "rung_ops", "serve", "--port", str(self.port), *arguments],
                cwd=current().root,
                env=os.environ | NOWHERE,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
        """Make one request; return status and answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path, body, self.headers())
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text)

    def headers(self) -> dict[str, str]:
        """Say who asks, with this machine's token, which a service under governance wants."""
        token = access.token_for(f"http://127.0.0.1:{self.port}")
        return {"authorization": f"Bearer {token}"} if token else {}

    def ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.ask("GET", "/health/ready")[0] == 200
        except OSError:
            return False


@pytest.fixture
def process(production: Environment, tmp_path: Path) -> Iterator[Process]:
    """The service of production, which serves v1."""
    state.serve(production.folder, "v1", "Ada")
    made = Process(tmp_path)
    soon(made.ready)
    yield made
    made.process.kill()
    made.process.wait()


def test_from_start_to_end(
    process: Process, production: Environment, row: bytes, tmp_path: Path
) -> None:
    packages = ", ".join(f"{name} {about}" for name, about in library.running().items())
    assert f"{packages}; PYTHONPATH: " in process.log.read_text()

    # With the registry unreachable, from the start.
    status, answer = process.ask("POST", "/predict", row)
    assert (status, answer["release"]) == (200, "v1")

    # A new release is taken up, and a rollback.
    production.add("v2")
    state.serve(production.folder, "v2", "Ada")
    soon(lambda: process.ask("POST", "/predict", row)[1]["release"] == "v2")
    state.roll_back(production.folder, "Ada")
    soon(lambda: process.ask("POST", "/predict", row)[1]["release"] == "v1")

    # Half of a request has arrived when the service is stopped.
    opened = socket.create_connection(("127.0.0.1", process.port), timeout=30)
    headers = {"host": "a", "content-length": len(row)} | process.headers()
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    opened.sendall(f"POST /predict HTTP/1.1\r\n{head}\r\n".encode() + row[:5])
    process.process.send_signal(signal.SIGTERM)
    soon(lambda: process.ask("GET", "/health/ready")[0] == 503)
    status, answer = process.ask("POST", "/predict", row)
    assert (status, answer["release"]) == (200, "v1")
    opened.sendall(row[5:])
    answered = http.client.HTTPResponse(opened)
    answered.begin()
    assert (answered.status, answered.getheader("connection")) == (200, "close")
    last = json.loads(answered.read())["id"]
    opened.close()
    assert process.process.wait(30) == 0

    # What it answered last is in the log.
    logged = prediction_log.read(tmp_path / "logs/production/predictions").collect()
    assert last in logged["id"].to_list()


def test_a_pipe_in_the_place_of_the_state_is_reported_and_does_not_keep_it_from_ending(
    process: Process, production: Environment, row: bytes
) -> None:
    path = production.folder / state.STATE
    path.unlink()
    os.mkfifo(path)
    soon(lambda: process.ask("GET", "/health/ready")[0] == 503)

    _, reported = process.ask("GET", "/health/ready")
    assert "state.json is not a regular file" in reported["problems"][0]
    assert process.ask("POST", "/predict", row)[0] == 200

    process.process.send_signal(signal.SIGTERM)
    assert process.process.wait(30) == 0


def test_a_signal_that_is_passed_on_is_the_same_one(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 100.0
    monkeypatch.setattr(server.time, "monotonic", lambda: clock)
    service = SimpleNamespace(limits=Limits(), metrics=Metrics())
    reported = server.Server(service, None, "127.0.0.1", 0)  # type: ignore[arg-type]
    reported._loop = asyncio.new_event_loop()

    reported.handle_exit(signal.SIGINT, None)
    clock += server.SAME_SIGNAL  # `poe` and `uv` tell it what the terminal told all of them
    reported.handle_exit(signal.SIGTERM, None)
    assert not reported.should_exit

    clock += 0.1  # and this is a person who does not want to wait
    reported.handle_exit(signal.SIGINT, None)
    assert reported.should_exit
    assert reported.force_exit
    reported._loop.close()


def test_the_service_never_imports_training() -> None:
    names = "mlflow dvc sklearn pandas pyarrow model_signing lightgbm pandera".split()
    parts = "training tracking gate monitoring autopilot replay contract"
    names += [f"rung_ops.{part}" for part in parts.split()]
    code = f"import sys, rung_ops.serving.serve\nprint(sorted({set(names)} & sys.modules.keys()))"
    output = subprocess.run(
        [sys.executable, "-c", code], cwd=current().root, capture_output=True, text=True, check=True
    )

    assert output.stdout.strip() == "[]"


def test_settings_that_mean_nothing_are_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def bad() -> None:
        raise serve.SettingsError("service.toml: [service] expected `bool`, got `int`")

    monkeypatch.setattr(serve.service_settings, "limits", bad)

    assert serve.main(["--port", "0"]) == 1
    assert "expected `bool`" in capsys.readouterr().err


def test_the_port_may_stand_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server, "Server", lambda *given: pytest.fail(f"port {given[-1]}"))
    monkeypatch.setattr(serve, "service_of", lambda environment, callers: None)
    monkeypatch.setattr(serve, "application", lambda service, further, reader: None)
    monkeypatch.setenv(serve.PORT_VARIABLE, "9001")

    with pytest.raises(pytest.fail.Exception, match="port 9001"):
        serve.main([])

    monkeypatch.setenv(serve.PORT_VARIABLE, "http")
    assert serve.main([]) == 2
    assert "'http' is not a valid integer" in capsys.readouterr().err


def test_a_port_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """The system would take 99999 for 34463."""
    assert serve.main(["--port", "99999"]) == 2
    assert "99999 is not in the range 0<=x<=65535" in capsys.readouterr().err


@pytest.mark.parametrize("named", [["--environment", "prod"], []])
def test_an_environment_that_does_not_exist_is_refused(
    production: Environment,
    named: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(server, "Server", lambda *given: pytest.fail("it starts"))
    monkeypatch.setenv("SERVICE_ENVIRONMENT", "production" if named else "prod")

    assert serve.main(["--port", "0", *named]) == 1
    said = capsys.readouterr().err
    assert "`prod` is no environment" in said and "staging or production" in said


def test_where_nothing_is_deployed_the_start_says_what_it_waits_for(
    production: Environment, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server.Server, "serve_until_stopped", lambda server: 0)

    assert serve.main(["--port", "0"]) == 0
    assert "nothing was deployed to production" in caplog.text

    caplog.clear()
    state.serve(production.folder, "v1", "Ada")
    assert serve.main(["--port", "0"]) == 0
    assert "nothing was deployed" not in caplog.text


def test_a_port_that_is_taken_is_reported(production: Environment, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        process = Process(tmp_path, "--port", port)

        assert process.process.wait(60) == 1
    said = process.log.read_text()
    assert "address already in use" in said
    assert "Stop what listens there, or choose another port: `--port " in said
