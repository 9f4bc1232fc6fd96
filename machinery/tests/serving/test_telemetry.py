"""What is reported of requests: lines of JSON, and spans and metrics to a stand-in for a collector."""

import asyncio
import contextlib
import gzip
import json
import logging
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import mlflow
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from starlette.routing import Mount, Route

from machinery.tests.conftest import LogCapture, Patch
from machinery.tests.serving.calls import PATIENCE, calling, soon
from machinery.tests.serving.conftest import Environment
from machinery.tests.serving.test_serve import Process, start, with_workers
from rung_ops.project.service_settings import Limits
from rung_ops.release import state
from rung_ops.serving import request_log, serve
from rung_ops.serving.metrics import Metrics
from rung_ops.serving.request_log import JsonLines, Request
from rung_ops.system.processes import free_port

__all__ = ["start"]  # the fixture

TRACE, PARENT = "ab" * 16, "cd" * 8  # no text that a scan for secrets stops at


class Collector(ThreadingHTTPServer):
    """Stands in for a collector: decodes what it is sent over HTTP, and keeps it."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.metrics: dict[tuple[str, str], Any] = {}  # the last by instance and name
        super().__init__(("127.0.0.1", 0), Receiver)

    def take(self, path: str, body: bytes) -> None:
        if path == "/v1/traces":
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    self.spans += scope.spans
            return
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            about = attributes(resource.resource)
            assert about["deployment.environment.name"] == "production"
            for metric in resource.scope_metrics[0].metrics:
                self.metrics[about["service.instance.id"], metric.name] = metric


class Receiver(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers["content-encoding"] == "gzip":
            body = gzip.decompress(body)
        self.server.take(self.path, body)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *given: Any) -> None:
        pass


@pytest.fixture
def collector(monkeypatch: Patch) -> Iterator[Collector]:
    with Collector() as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        monkeypatch.setenv(serve.COLLECTOR, f"http://127.0.0.1:{made.server_port}")
        yield made
        made.shutdown()


def attributes(of: Any) -> dict[str, Any]:
    """Attributes of a span, a point or a resource, by name."""
    found = {}
    for pair in of.attributes:
        found[pair.key] = getattr(pair.value, pair.value.WhichOneof("value"))
    return found


def test_a_request_is_one_line_one_trace_and_counted_by_each_worker(
    production: Environment,
    start: Callable[..., Process],
    collector: Collector,
    row: bytes,
    tmp_path: Path,
    monkeypatch: Patch,
) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=pod-1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "Bearer a-collectors")
    for name in ("BSP_SCHEDULE_DELAY", "METRIC_EXPORT_INTERVAL"):
        monkeypatch.setenv(f"OTEL_{name}", "50")
    state.serve(production.folder, "v1", "Ada")
    project = with_workers(tmp_path)
    settings = project / "ops/service.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace("[service]", '[service]\nlog_format = "json"'), "utf-8")
    process = start(project=project)
    soon(lambda: process.log.read_text().count("Serving production") == 2)
    soon(process.ready)
    asked = {"traceparent": f"00-{TRACE}-{PARENT}-01", "x-request-id": "order-7"}
    asked["tracestate"] = "a=b,ERROR of a-forger"
    assert process.ask("POST", "/predict", row, asked)[0] == 200
    assert process.ask("POST", "/predict", b'{"note": "a secret"}')[0] == 422
    assert process.ask("GET", "/secret?token=a")[0] in (401, 404)
    for _ in range(20):
        process.ask("POST", "/predict", row)
    soon(lambda: len(collector.spans) == 44 and counted(collector) == (21, 21))
    process.process.send_signal(signal.SIGTERM)
    assert process.process.wait(30) == 0

    lines = [json.loads(line) for line in process.log.read_text().splitlines()]
    assert {line["environment"] for line in lines} == {"production"}
    assert all(line["time"].endswith("Z") and line["message"] for line in lines)
    requests = [line for line in lines if "ms" in line]
    assert len(requests) == 23, "and none of /health/ready"
    (first,) = [line for line in requests if line["request_id"] == "order-7"]
    (invalid,) = [line for line in requests if line["status"] == 422]
    (page,) = [line for line in requests if line["path"] == "-"]
    known = {"request_id", "trace_id", "release", "arm", "rows", "method", "path", "status"}
    assert {name: first[name] for name in known} == {
        **{"request_id": "order-7", "trace_id": TRACE, "release": "v1", "arm": "serving"},
        **{"rows": 1, "method": "POST", "path": "/predict", "status": 200},
    }
    assert first["level"] == "info" and first["ms"] > 0
    assert (invalid["release"], page["message"][:7]) == ("v1", "GET -: ")
    tokens = [token.removeprefix("Bearer ") for token in process.headers().values()]
    for hidden in ("secret", "token=", "forger", "a-collectors", *tokens):
        assert hidden not in process.log.read_text()

    servers = {attributes(span).get("rung.request_id"): span for span in collector.spans}
    span = servers["order-7"]
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert (span.name, attributes(span)["http.response.status_code"]) == ("POST /predict", 200)
    (child,) = [child for child in collector.spans if child.parent_span_id == span.span_id]
    assert (child.name, child.trace_id) == ("predict", span.trace_id)
    assert attributes(child) == {"rung.release": "v1", "rung.arm": "serving", "rung.rows": 1}
    times = (span.start_time_unix_nano, child.start_time_unix_nano)
    assert times <= (child.end_time_unix_nano, span.end_time_unix_nano)
    assert servers[invalid["request_id"]].trace_id.hex() == invalid["trace_id"]

    assert {instance for instance, _ in collector.metrics} == {"pod-1-1", "pod-1-2"}
    points = seconds(collector)
    assert {len(point.bucket_counts) - len(point.explicit_bounds) for point in points} == {1}


def seconds(collector: Collector) -> list[Any]:
    """Return the last points of each worker's histogram."""
    found = [metric for (_, name), metric in list(collector.metrics.items()) if "_seconds" in name]
    return [point for metric in found for point in metric.histogram.data_points]


def counted(collector: Collector) -> tuple[float, int]:
    """Return the requests that all workers have answered, by the counters and by the histograms."""
    answered = [
        point.as_double
        for (_, name), metric in list(collector.metrics.items())
        for point in metric.sum.data_points
        if name == "service_requests" and attributes(point)["outcome"] == "answered"
    ]
    return sum(answered), sum(sum(point.bucket_counts) for point in seconds(collector))


def test_a_collector_that_never_answers_or_is_down_holds_up_neither_a_request_nor_the_end(
    production: Environment, start: Callable[..., Process], row: bytes, monkeypatch: Patch
) -> None:
    exporter = f"{serve.COLLECTOR.removesuffix('_ENDPOINT')}_"
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "10")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    monkeypatch.setenv(f"{exporter}TRACES_TIMEOUT", "3600")
    monkeypatch.setenv(f"{exporter}METRICS_TIMEOUT", "0.01")
    monkeypatch.setenv(f"{exporter}METRICS_ENDPOINT", "http://127.0.0.1:9/v1/metrics")
    state.serve(production.folder, "v1", "Ada")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(PATIENCE)
        port = silent.getsockname()[1]
        monkeypatch.setenv(f"{exporter}TRACES_ENDPOINT", f"http://127.0.0.1:{port}/v1/traces")
        process = start()
        soon(process.ready)
        assert process.ask("POST", "/predict", row)[0] == 200
        connection, _ = silent.accept()  # a sender waits from now on
        with connection:
            assert process.ask("POST", "/predict", row)[0] == 200
            soon(lambda: "Failed to export metrics" in process.log.read_text())
            process.process.send_signal(signal.SIGTERM)
            assert process.process.wait(30) == 0
    assert process.log.read_text().count("Failed to export metrics") == 1, "of many"


@pytest.mark.parametrize(
    "missing", ["opentelemetry.sdk.resources", "opentelemetry.exporter.otlp.proto.http"]
)
def test_without_the_extra_the_service_starts_and_says_how_to_add_it(
    missing: str, monkeypatch: Patch, caplog: LogCapture, tmp_path: Path
) -> None:
    monkeypatch.setenv(serve.COLLECTOR, "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, missing, None)
    for loaded in [name for name in sys.modules if name.startswith(f"{missing}.")]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.delitem(sys.modules, "rung_ops.serving.telemetry", raising=False)

    with calling(tmp_path, Limits()) as made:
        assert serve.telemetry_of(made.service) is None

    assert f"the extra `otel` is not installed ({missing}" in caplog.text
    assert 'Add a group `telemetry = ["rung-ops[otel]"]` to pyproject.toml' in caplog.text


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        *[
            ("OTEL_METRIC_EXPORT_INTERVAL", value, "a variable has no valid value")
            for value in ("soon", "0", "nan", "1e13")
        ],
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "_PROTOCOL is grpc, not http/protobuf"),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc", "_PROTOCOL is grpc, not http/protobuf"),
        ("OTEL_SDK_DISABLED", "true", ""),
    ],
)
def test_nothing_is_sent_where_a_variable_is_wrong_or_says_so(
    name: str, value: str, said: str, monkeypatch: Patch, caplog: LogCapture, tmp_path: Path
) -> None:
    monkeypatch.setenv(serve.COLLECTOR, "http://127.0.0.1:9")
    monkeypatch.setenv(name, value)

    with calling(tmp_path, Limits()) as made:
        assert serve.telemetry_of(made.service) is None

    assert said in caplog.text and bool(said) == bool(caplog.text)


@pytest.mark.parametrize("is_by_endpoint", [True, False])
@pytest.mark.parametrize(("sent", "other"), [("TRACES", "METRICS"), ("METRICS", "TRACES")])
def test_traces_and_metrics_are_sent_one_without_the_other(
    sent: str,
    other: str,
    is_by_endpoint: bool,
    collector: Collector,
    monkeypatch: Patch,
    tmp_path: Path,
) -> None:
    for name in ("BSP_SCHEDULE_DELAY", "METRIC_EXPORT_INTERVAL"):
        monkeypatch.setenv(f"OTEL_{name}", "10")
    if is_by_endpoint:
        monkeypatch.delenv(serve.COLLECTOR)
        address = f"http://127.0.0.1:{collector.server_port}/v1/{sent.lower()}"
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{sent}_ENDPOINT", address)
    else:
        monkeypatch.setenv(f"OTEL_{other}_EXPORTER", "none")

    with calling(tmp_path, Limits()) as made:
        telemetry = serve.telemetry_of(made.service)
        assert telemetry is not None
        telemetry(Request("GET", "/model", {}, arrived=0, began=0.0, status=200))
        soon(lambda: bool(collector.spans or collector.metrics))
        telemetry.close()

    assert (bool(collector.spans), bool(collector.metrics)) == (sent == "TRACES", sent == "METRICS")


def test_metrics_that_cannot_be_read_are_reported_seldom_and_sent_later(
    collector: Collector, monkeypatch: Patch, caplog: LogCapture, tmp_path: Path
) -> None:
    from rung_ops.serving.telemetry import Telemetry

    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "10")
    figures = tmp_path / "monitor.prom"
    figures.write_bytes(b"drift \xff")
    tried = threading.Semaphore(0)
    metrics = Metrics(figures)
    families = metrics.families
    monkeypatch.setattr(metrics, "families", lambda: tried.release() or families())
    telemetry = Telemetry("flights", "production", metrics)
    try:
        assert all(tried.acquire(timeout=PATIENCE) for _ in range(3))
        assert [record.message for record in caplog.records] == ["Metrics could not be sent"]
        figures.write_text("drift 1\n")
        soon(lambda: "drift" in {name for _, name in list(collector.metrics)})
    finally:
        telemetry.close()


def test_what_fails_while_it_reports_a_request_hides_no_error_of_the_service(
    tmp_path: Path, caplog: LogCapture
) -> None:
    heard: list[Request] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise KeyError("the service's")

    def broken(request: Request) -> None:
        raise ValueError("the listener's")

    with calling(tmp_path, Limits()) as made:
        outer = request_log.reported(app, made.service, [broken, heard.append])
        with pytest.raises(KeyError, match="the service's"):
            asyncio.run(outer(asked("/predict"), None, None))  # type: ignore[arg-type]

    assert [request.status for request in heard] == [500]
    assert "the listener's" in caplog.text


@pytest.mark.parametrize(
    ("path", "parent", "logged", "trace"),
    [
        ("/predict", f"00-{TRACE}-{PARENT}-01", "/predict", TRACE),
        ("/orders/a-secret", f"ff-{TRACE}-{PARENT}-01", "/orders/{id}", ""),
        ("/files/a-secret", f"00-{TRACE}-{'0' * 16}-01", "/files", ""),
        ("/reset/a-secret", "", "-", ""),
    ],
)
def test_a_path_is_logged_by_its_route_and_a_trace_if_it_is_valid(
    path: str, parent: str, logged: str, trace: str, tmp_path: Path
) -> None:
    heard: list[Request] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        pass

    routes = [Route("/predict", app), Route("/orders/{id}", app), Mount("/files", app)]
    with calling(tmp_path, Limits()) as made:
        outer = request_log.reported(app, made.service, [heard.append], routes)
        asyncio.run(outer(asked(path, traceparent=parent), None, None))  # type: ignore[arg-type]

    assert [(request.path, request.trace) for request in heard] == [(logged, trace)]


def asked(path: str, **headers: str) -> dict[str, Any]:
    """Return the ASGI scope of a request."""
    given = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": "GET", "path": path, "root_path": "", "headers": given}


def test_a_request_that_fails_is_an_error_with_its_id(tmp_path: Path, caplog: LogCapture) -> None:
    caplog.set_level("INFO")
    with calling(tmp_path, Limits()) as made:
        made.app = request_log.reported(made.app, made.service, [request_log.log_line])
        made.install("v1")
        row = {"number": 13, "kind": "a", "code": "AB", "at": "2026-01-31T08:00:00", "weight": 1.0}
        asked = {"x-request-id": "it\u0007"}
        failed = made.post("/predict", row)
        refused = made.post("/predict", row, **asked)

    assert (failed.status, refused.status) == (500, 400)
    lines = [json.loads(JsonLines(worker=2).format(record)) for record in caplog.records]
    why, line, other = lines
    assert why["message"].endswith("13 is unlucky") and why["release"] == "v1"
    assert why["request_id"] == line["request_id"] != other["request_id"]
    assert [entry["level"] for entry in lines] == ["error", "error", "info"]
    assert {entry["worker"] for entry in lines} == {2}

    try:
        raise ValueError("first\nsecond")
    except ValueError:
        known = {"msg": "one\n\udce4", "levelname": "ERROR", "exc_info": sys.exc_info()}
    text = JsonLines().format(logging.makeLogRecord(known))
    assert text.isascii() and "\n" not in text
    assert "first\nsecond" in json.loads(text)["exception"]


@pytest.mark.slow
def test_mlflow_takes_the_traces(
    production: Environment,
    start: Callable[..., Process],
    row: bytes,
    tmp_path: Path,
    monkeypatch: Patch,
) -> None:
    address = f"http://127.0.0.1:{(port := free_port())}"
    monkeypatch.setenv(serve.COLLECTOR, address)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-mlflow-experiment-id=0")
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "300")
    state.serve(production.folder, "v1", "Ada")
    command = [sys.executable, "-m", "mlflow", "server", f"--port={port}", "--workers=1"]
    with subprocess.Popen(command, cwd=tmp_path) as server:
        try:
            soon(lambda: is_open(port) or server.poll() is not None, patience=400)
            process = start()
            soon(process.ready)
            sent = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
            assert process.ask("POST", "/predict", row, sent)[0] == 200
            client = mlflow.MlflowClient(address)

            def spans() -> int:
                return sum(len(one.data.spans) for one in client.search_traces(locations=["0"]))

            soon(lambda: spans() == 2, patience=400)
            process.process.send_signal(signal.SIGTERM)
            assert process.process.wait(30) == 0
            (trace,) = client.search_traces(locations=["0"])
        finally:
            server.terminate()

    assert {span.name for span in trace.data.spans} == {"POST /predict", "predict"}
    assert trace.info.trace_id.endswith(TRACE)
    assert "Failed to export" not in process.log.read_text()


@pytest.fixture
def run_tool(tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    """Starts a server of another package, and waits for its port; all are ended with the test."""
    with contextlib.ExitStack() as ending, (tmp_path / "tools.log").open("wb") as log:

        def run(name: str, port: int, *arguments: str) -> "subprocess.Popen[bytes]":
            if (program := shutil.which(name)) is None:
                pytest.skip(f"{name} is not on this machine; .ci/run installs it")
            command = [program, *arguments]
            made = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=subprocess.STDOUT)
            ending.callback(made.wait)
            ending.callback(made.kill)
            soon(lambda: is_open(port) or made.poll() is not None)
            assert made.poll() is None, (tmp_path / "tools.log").read_text()
            return made

        yield run


@pytest.mark.slow
def test_traces_and_metrics_pass_a_collector_that_is_killed_and_started_again(
    production: Environment,
    start: Callable[..., Process],
    collector: Collector,
    run_tool: Callable[..., "subprocess.Popen[bytes]"],
    row: bytes,
    tmp_path: Path,
    monkeypatch: Patch,
) -> None:
    """The collector is Rotel; the stand-in takes what that passes on."""
    port, other = free_port(), free_port()
    options = (
        *("start", f"--otlp-http-endpoint=127.0.0.1:{port}"),
        *(f"--otlp-grpc-endpoint=127.0.0.1:{other}", f"--pid-file={tmp_path / 'rotel.pid'}"),
        *("--exporter=otlp", "--otlp-exporter-protocol=http"),
        f"--otlp-exporter-endpoint=http://127.0.0.1:{collector.server_port}",
    )
    running = run_tool("rotel-agent", port, *options)
    monkeypatch.setenv(serve.COLLECTOR, f"http://127.0.0.1:{port}")
    for name in ("BSP_SCHEDULE_DELAY", "METRIC_EXPORT_INTERVAL"):
        monkeypatch.setenv(f"OTEL_{name}", "100")
    state.serve(production.folder, "v1", "Ada")
    process = start()
    soon(process.ready)

    def ask(name: str) -> None:
        sent = {"traceparent": f"00-{TRACE}-{PARENT}-01", "x-request-id": name}
        assert process.ask("POST", "/predict", row, sent)[0] == 200

    def came(name: str, answered: int) -> bool:
        names = {attributes(span).get("rung.request_id") for span in collector.spans}
        return name in names and counted(collector) == (answered, answered)

    ask("first")
    soon(lambda: came("first", 1))
    running.kill()
    running.wait()
    ask("while it is down")
    soon(lambda: "Failed to export" in process.log.read_text())
    run_tool("rotel-agent", port, *options)
    ask("last")
    soon(lambda: came("last", 3))

    process.process.send_signal(signal.SIGTERM)
    assert process.process.wait(30) == 0
    (span,) = [one for one in collector.spans if attributes(one).get("rung.request_id") == "last"]
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert (span.name, attributes(span)["http.response.status_code"]) == ("POST /predict", 200)
    assert "predict" in {one.name for one in collector.spans if one.parent_span_id == span.span_id}


def is_open(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0
