"""The service as a process: it starts, answers, and ends without losing a request."""

import asyncio
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from machinery.tests import in_project
from machinery.tests.conftest import Capture, LogCapture, Patch
from machinery.tests.serving.calls import calling, soon
from machinery.tests.serving.conftest import Environment
from rung_ops import prediction_log
from rung_ops.project import active_addons, current
from rung_ops.project.service_settings import Limits
from rung_ops.release import state
from rung_ops.serving import access, serve, server, workers
from rung_ops.serving.metrics import Metrics
from rung_ops.system.processes import free_port

NO_HEADERS: dict[str, str] = {}
NOWHERE = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
TOKEN = "a-token-that-is-long-enough-for-a-caller"
# In a mount namespace of its own, where only the folder that comes first can be written.
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro / && exec "$@"'


class Process:
    """A service that runs by itself."""

    def __init__(
        self, folder: Path, *arguments: str, within: Sequence[str] = (), project: Path | None = None
    ) -> None:
        self.port = free_port()
        named = {serve.PLATFORM_PORT: str(self.port)}
        self.log = folder / "service.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*within, sys.executable, "-m", "rung_ops", "serve", *arguments],
                cwd=project or current().root,
                env=os.environ | NOWHERE | named,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        more: Mapping[str, str] = NO_HEADERS,
    ) -> tuple[int, Any]:
        """Make one request; return status and answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path, body, self.headers() | dict(more))
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text)

    def figures(self, name: str, *labels: str) -> dict[str, Any]:
        """Read a metric by worker: the value of a sample, or of some of its labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
        return {
            sample.labels["worker"]: [sample.labels[label] for label in labels] or sample.value
            for family in families
            for sample in family.samples
            if sample.name == name and sample.labels.get("arm") != "canary"
        }

    def headers(self) -> dict[str, str]:
        """Say who asks, with this machine's token, which a service under governance wants."""
        token = access.token_for(f"http://127.0.0.1:{self.port}")
        return {"authorization": f"Bearer {token}"} if token else {}

    def ready(self) -> bool:
        return self.is_open("/health/ready")

    def is_open(self, path: str) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.ask("GET", path)[0] == 200
        except OSError:
            return False

    def answers(self) -> bool:
        try:
            return self.ask("GET", "/health/live")[0] == 200
        except OSError:
            return False


def with_workers(folder: Path, log: str = "[log]") -> Path:
    """Copy the project, with a service of two workers."""
    project = in_project.copied(folder / "project")
    settings = project / "ops/service.toml"
    text = settings.read_text(encoding="utf-8").replace("[service]", "[service]\nworkers = 2", 1)
    settings.write_text(text.replace("[log]", log, 1), encoding="utf-8")
    return project


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts services, and ends them; their workers end with them."""
    started: list[Process] = []

    def start(*arguments: str, **named: Any) -> Process:
        started.append(Process(tmp_path, *arguments, **named))
        return started[-1]

    yield start
    for process in started:
        process.process.kill()
        process.process.wait()


@pytest.fixture
def process(production: Environment, start: Callable[..., Process]) -> Process:
    """The service of production, which serves v1."""
    state.serve(production.folder, "v1", "Ada")
    made = start()
    soon(made.ready)
    return made


def test_from_start_to_end(
    process: Process, production: Environment, row: bytes, tmp_path: Path
) -> None:
    packages = ", ".join(
        f"{name} {about}" for name, about in active_addons.running_library().items()
    )
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


def test_a_platform_starts_it_in_a_read_only_container_asks_it_and_ends_it(
    production: Environment,
    start: Callable[..., Process],
    row: bytes,
    tmp_path: Path,
    monkeypatch: Patch,
) -> None:
    within = ["unshare", "--map-root-user", "--mount", "sh", "-c", READ_ONLY, str(tmp_path)]
    if shutil.which("unshare") is None or subprocess.run([*within, "true"], check=False).returncode:
        pytest.skip("nothing can be made read-only here")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv(access.PREDICT, f"platform:{TOKEN}")
    monkeypatch.setenv(access.VARIABLE, TOKEN)
    process = start("--host", "0.0.0.0", "serve", within=within)
    soon(lambda: process.is_open("/healthz"))

    unready = process.ask("GET", "/ping")[0]
    state.serve(production.folder, "v1", "Ada")
    soon(process.ready)
    image = (current().root / "service.Dockerfile").read_text(encoding="utf-8")
    _, _, check = image.partition("  CMD ")
    healthy = subprocess.run(
        json.loads(check.partition("\n")[0]),
        env=os.environ | {serve.PLATFORM_PORT: str(process.port)},
        check=False,
    )
    status, answer = process.ask("POST", "/invocations", row)
    process.process.send_signal(signal.SIGTERM)

    assert process.process.wait(30) == 0
    assert (unready, healthy.returncode, status, answer["release"]) == (503, 0, 200, "v1")
    logged = prediction_log.read(tmp_path / "logs/production/predictions").collect()
    assert logged["id"].to_list() == [answer["id"]]


def test_workers_are_one_service(
    production: Environment, start: Callable[..., Process], row: bytes, tmp_path: Path
) -> None:
    state.serve(production.folder, "v1", "Ada")
    process = start(project=with_workers(tmp_path))

    def serve_both(release: str) -> bool:
        loaded = process.figures("service_release_info", "release")
        return loaded == {"1": [release], "2": [release]}

    def logged() -> list[str]:
        log = prediction_log.read(tmp_path / "logs/production/predictions").collect()
        return sorted(log["id"].to_list())

    soon(process.ready)
    soon(lambda: serve_both("v1"))
    asked = {process.ask("POST", "/predict", row)[1]["id"] for _ in range(50)}
    soon(lambda: sum(process.figures("service_batch_rows_sum").values()) == len(asked))

    # A new release reaches all, and one that was killed is replaced, and accepts when it can answer.
    production.add("v2")
    state.serve(production.folder, "v2", "Ada")
    soon(lambda: serve_both("v2"))
    soon(lambda: logged() == sorted(asked))  # a process that is killed loses what waits
    (killed, *_) = map(int, re.findall(r"process (\d+)", process.log.read_text()))
    began = process.figures("process_start_time_seconds")
    os.kill(killed, signal.SIGKILL)
    soon(lambda: process.figures("process_start_time_seconds") != began)
    soon(lambda: process.log.read_text().count("Serving production") == 3)
    answers = [process.ask("POST", "/predict", row) for _ in range(50)]
    process.process.send_signal(signal.SIGTERM)

    assert process.process.wait(30) == 0
    assert re.search(rf"Worker \d, process {killed}, has ended \(-9\)", process.log.read_text())
    assert {(status, answer["release"]) for status, answer in answers} == {(200, "v2")}
    assert logged() == sorted(asked | {answer["id"] for _, answer in answers})


def test_workers_end_with_the_process_that_started_them(
    production: Environment, start: Callable[..., Process], tmp_path: Path
) -> None:
    process = start(project=with_workers(tmp_path))
    soon(lambda: process.log.read_text().count("Serving production") == 2)

    process.process.kill()
    process.process.wait()

    soon(lambda: not process.answers())


def test_workers_that_cannot_start_are_given_up(
    production: Environment, start: Callable[..., Process], tmp_path: Path
) -> None:
    process = start(project=with_workers(tmp_path, "[log]\nencrypted = true"))

    assert process.process.wait(60) == 1
    assert "`encrypted` under [log]" in process.log.read_text()


def test_a_signal_that_is_passed_on_is_the_same_one(monkeypatch: Patch) -> None:
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


def test_the_log_gets_what_slow_callers_leave_of_ten_seconds(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    seconds: list[float] = []
    begin = time.monotonic() - 1.0 - server.FINISH
    with calling(tmp_path, Limits(drain_seconds=1.0), log=True) as made:
        assert made.service.log is not None
        monkeypatch.setattr(made.service.log, "close", seconds.append)
        with monkeypatch.context() as patch:
            patch.setattr(time, "monotonic", lambda: begin)
            made.service.drain()

    assert seconds[0] <= 10.0 - 1.0 - server.FINISH - 1.0


def test_the_port_may_stand_in_the_environment(monkeypatch: Patch, capsys: Capture) -> None:
    monkeypatch.setattr(server, "Server", lambda *given: pytest.fail(f"port {given[-1]}"))
    monkeypatch.setattr(serve, "service_of", lambda *given: None)
    monkeypatch.setattr(serve, "application", lambda *given: None)
    monkeypatch.setenv(serve.PORT_VARIABLE, "9001")

    monkeypatch.setenv(serve.PLATFORM_PORT, "9002")
    with pytest.raises(pytest.fail.Exception, match="port 9001"):
        serve.main([])

    # The system would take 99999 for 34463.
    for port, message in (("http", "is not a valid integer"), ("99999", "is not in the range")):
        monkeypatch.setenv(serve.PORT_VARIABLE, port)
        assert serve.main([]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize("named", [["--environment", "prod"], []])
def test_an_environment_that_does_not_exist_is_refused(
    production: Environment, named: list[str], monkeypatch: Patch, capsys: Capture
) -> None:
    monkeypatch.setattr(server, "Server", lambda *given: pytest.fail("it starts"))
    monkeypatch.setenv("SERVICE_ENVIRONMENT", "production" if named else "prod")

    assert serve.main(["--port", "0", *named]) == 1
    said = capsys.readouterr().err
    assert "`prod` is no environment" in said and "staging or production" in said


def test_where_nothing_is_deployed_the_start_says_what_it_waits_for(
    production: Environment, monkeypatch: Patch, caplog: LogCapture
) -> None:
    monkeypatch.setattr(server.Server, "serve_until_stopped", lambda *given: 0)

    assert serve.main(["--port", "0"]) == 0
    assert "nothing was deployed to production" in caplog.text

    caplog.clear()
    state.serve(production.folder, "v1", "Ada")
    assert serve.main(["--port", "0"]) == 0
    assert "nothing was deployed" not in caplog.text


def test_a_port_that_is_taken_is_reported(
    production: Environment, start: Callable[..., Process], tmp_path: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        process = start("--port", port)

        assert process.process.wait(60) == 1
    said = process.log.read_text()
    assert "address already in use" in said
    assert "Stop what listens there, or choose another port: `--port " in said


# The first fails before it has figures, and later with them; the second waits until those are gone.
WORKER = """#!/bin/sh
log={log}
set -- $RUNG_SERVICE_WORKER
if [ $1 = 1 ]; then
    grep -q 1 $log && : > $4/1.prom
    echo 1 >> $log
    exit 1
fi
looks=0
until [ $(grep -c 1 $log) -ge 2 ] && [ ! -e $4/1.prom ] || [ $looks = 200 ]; do
    looks=$((looks + 1))
    sleep 0.05
done
: > $4/2.prom
[ -e $4/1.prom ] && echo stale >> $log
kill -TERM $3
"""


def test_a_worker_that_fails_first_stops_no_other_and_leaves_no_figures(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    log, program = tmp_path / "log", tmp_path / "worker"
    log.touch()
    program.write_text(WORKER.replace("{log}", str(log)), encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    before = {sign: signal.getsignal(sign) for sign in (signal.SIGINT, signal.SIGTERM)}
    try:
        code = workers.run(2, "127.0.0.1", 0, [])
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)

    assert code == 0
    assert "stale" not in log.read_text(encoding="utf-8")
