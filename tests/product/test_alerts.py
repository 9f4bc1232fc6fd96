"""Alerts reach a person: Prometheus reads a service, and Alertmanager calls a webhook.

All of it is real: the service of a generated project, what its monitor found, the project's rules,
Debian's Prometheus and Alertmanager. Only waiting is cut short; promtool tests the rules as they
are, with their waiting, in machinery/tests.
"""

import contextlib
import json
import re
import subprocess
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT
from tests.product.conftest import tool
from tests.product.serving import Served, Service, eventually, free_port, own, released, serving

__all__ = ["own", "released"]  # fixtures
TEMPLATE = ROOT / "templates/project/ops/prometheus"
PATIENCE = 90.0


class Webhook:
    """Somebody who is on call: keeps what Alertmanager tells."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        heard = self.heard

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                heard.extend(json.loads(body)["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def alert(self, name: str, status: str = "firing", **labels: str) -> dict[str, Any] | None:
        """Find an alert that was told of, by its name and labels."""
        for alert in list(self.heard):
            wanted = {"alertname": name, **labels}
            if alert["status"] == status and wanted.items() <= alert["labels"].items():
                return alert
        return None


@contextlib.contextmanager
def running(*command: str | Path, ready: str, folder: Path) -> Iterator[None]:
    """Run a server until the block ends, and wait until it is ready."""
    log = folder / f"{Path(command[0]).name}.log"
    with log.open("wb") as written:
        process = subprocess.Popen(
            list(map(str, command)), cwd=folder, stdout=written, stderr=subprocess.STDOUT
        )
    try:
        assert eventually(lambda: process.poll() is None and answers(ready), PATIENCE), (
            log.read_text()
        )
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@contextlib.contextmanager
def watched(service: Service, webhook: Webhook, folder: Path) -> Iterator[str]:
    """Let Prometheus and Alertmanager watch a service, as the project sets them up.

    Addresses are those of this machine, and FeatureDrifted and ServiceDown wait for nothing.
    """
    prometheus, alertmanager = tool("prometheus"), tool("prometheus-alertmanager")
    ops = service.served.folder / "ops/prometheus"
    ports = free_port(), free_port()
    (folder / "webhook.url").write_text(webhook.url)

    routing = (ops / "alertmanager.yml").read_text()
    routing = routing.replace("/etc/alertmanager/webhook.url", str(folder / "webhook.url"))
    routing = re.sub(r"(group_wait|group_interval): \w+", r"\1: 1s", routing)
    (folder / "alertmanager.yml").write_text(routing)

    scraping = yaml.safe_load((ops / "prometheus.yml").read_text())
    scraping["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    scraping["scrape_configs"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{service.port}"]
    targets = scraping["alerting"]["alertmanagers"][0]["static_configs"][0]
    targets["targets"] = [f"127.0.0.1:{ports[1]}"]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(scraping))

    rules = yaml.safe_load((ops / "alerts.yml").read_text())
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        if rule["alert"] in ("FeatureDrifted", "ServiceDown"):
            rule["for"] = "0s"
    (folder / "alerts.yml").write_text(yaml.safe_dump(rules))

    url = f"http://127.0.0.1:{ports[0]}"
    with (
        running(
            alertmanager,
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{ports[1]}",
            "--cluster.listen-address=",
            ready=f"http://127.0.0.1:{ports[1]}/-/ready",
            folder=folder,
        ),
        running(
            prometheus,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'prometheus'}",
            f"--web.listen-address=127.0.0.1:{ports[0]}",
            ready=f"{url}/-/ready",
            folder=folder,
        ),
    ):
        yield url


def asked(url: str, query: str) -> list[dict[str, Any]]:
    """Ask Prometheus."""
    with urllib.request.urlopen(
        f"{url}/api/v1/query?query={urllib.parse.quote(query)}", timeout=10
    ) as answer:
        results: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return results


@pytest.mark.slow
def test_a_drifted_feature_and_a_dead_service_alert_the_person_on_call(
    own: Served, tmp_path: Path
) -> None:
    own.deploy("good")
    webhook = Webhook()
    far = [row | {"distance": 9000} for row in own.rows]
    with serving(own) as service:
        for row in (far * 300)[:300]:
            assert service.predict(row)[0] == 200
        assert eventually(
            lambda: service.metric("prediction_log_rows_total", outcome="written") >= 300
        )
        with watched(service, webhook, tmp_path) as prometheus:
            assert eventually(lambda: bool(asked(prometheus, "up == 1")), PATIENCE)
            assert webhook.heard == []

            own.python(
                "-c",
                "import sys; from rung_ops.monitoring.observation import main; sys.exit(main() != 1)",
            )
            assert eventually(
                lambda: webhook.alert("FeatureDrifted", feature="distance"), PATIENCE
            ), asked(prometheus, "ALERTS")
            output = webhook.alert("FeatureDrifted", feature="distance") or {}
            assert output["labels"]["environment"] == "production"
            assert output["labels"]["severity"] == "warning"
            assert output["annotations"]["summary"] == "distance has drifted in production"
            assert (
                "Distance between the two airports (mile)" in output["annotations"]["description"]
            )
            assert webhook.alert("ServiceDown") is None

            service.process.kill()
            assert eventually(lambda: webhook.alert("ServiceDown"), PATIENCE), asked(
                prometheus, "ALERTS"
            )
            down = webhook.alert("ServiceDown") or {}
            assert down["annotations"]["runbook"] == "docs/runbook.md#servicedown"
    webhook.close()


def test_what_the_template_ships_is_read_by_prometheus_and_alertmanager(tmp_path: Path) -> None:
    (tmp_path / "prometheus.yml").write_bytes((TEMPLATE / "prometheus.yml").read_bytes())
    (tmp_path / "alerts.yml").write_text("groups: []\n")

    for command in (
        [tool("promtool"), "check", "config", tmp_path / "prometheus.yml"],
        [tool("amtool"), "check-config", TEMPLATE / "alertmanager.yml"],
    ):
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_starts_before_there_are_rules(tmp_path: Path) -> None:
    """At rung 3 there are none."""
    port = free_port()
    (tmp_path / "prometheus.yml").write_bytes((TEMPLATE / "prometheus.yml").read_bytes())
    with running(
        tool("prometheus"),
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        ready=f"http://127.0.0.1:{port}/-/ready",
        folder=tmp_path,
    ):
        assert asked(f"http://127.0.0.1:{port}", "vector(1)")
