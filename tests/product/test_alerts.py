"""Alerts reach a person: Prometheus reads a service, and Alertmanager calls a webhook.

All of it is real: the service of a generated project, what its monitor found, the project's rules,
Debian's Prometheus and Alertmanager. Only waiting is cut short; promtool tests the rules as they
are, with their waiting, in machinery/tests.
"""

import contextlib
import json
import re
import signal
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT
from tests.product.conftest import environment, run, tool
from tests.product.processes import end_group, receiving, start_process
from tests.product.serving import Served, Service, eventually, free_port, own, released, serving
from tests.product.variants import answers

__all__ = ["own", "released"]  # fixtures
TEMPLATE = ROOT / "templates/project/ops/prometheus"
PATIENCE = 90.0


def alert(heard: list[dict[str, Any]], name: str, **labels: str) -> dict[str, Any] | None:
    """Find a firing alert that was told of, by its name and labels."""
    wanted = {"alertname": name, **labels}.items()
    firing = (told for told in list(heard) if told["status"] == "firing")
    return next((told for told in firing if wanted <= told["labels"].items()), None)


@contextlib.contextmanager
def running(*command: str | Path, ready: str, folder: Path) -> Iterator[None]:
    """Run a server until the block ends, and wait until it is ready."""
    log = folder / f"{Path(command[0]).name}.log"
    process = start_process(list(map(str, command)), folder, log, environment())
    try:
        assert answers(ready, PATIENCE), log.read_text()
        yield
    finally:
        end_group(process, signal.SIGTERM)


@contextlib.contextmanager
def watched(service: Service, webhook: str, folder: Path) -> Iterator[str]:
    """Let Prometheus and Alertmanager watch a service, as the project sets them up.

    Addresses are those of this machine, and FeatureDrifted and ServiceDown wait for nothing.
    """
    prometheus, alertmanager = tool("prometheus"), tool("prometheus-alertmanager")
    ops = service.served.folder / "ops/prometheus"
    ports = free_port(), free_port()
    (folder / "webhook.url").write_text(webhook)

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
    heard: list[dict[str, Any]] = []
    far = [row | {"distance": 9000} for row in own.rows]
    with (
        receiving(lambda told: heard.extend(told["alerts"])) as webhook,
        serving(own) as service,
    ):
        for row in (far * 300)[:300]:
            assert service.predict(row)[0] == 200
        assert eventually(
            lambda: service.metric("prediction_log_rows_total", outcome="written") >= 300
        )
        with watched(service, webhook, tmp_path) as prometheus:
            assert eventually(lambda: bool(asked(prometheus, "up == 1")), PATIENCE)
            assert heard == []

            own.python(
                "-c",
                "import sys; from rung_ops.monitoring.observation import main; sys.exit(main() != 1)",
            )
            assert eventually(
                lambda: alert(heard, "FeatureDrifted", feature="distance"), PATIENCE
            ), asked(prometheus, "ALERTS")
            output = alert(heard, "FeatureDrifted", feature="distance") or {}
            assert output["labels"]["environment"] == "production"
            assert output["labels"]["severity"] == "warning"
            assert output["annotations"]["summary"] == "distance has drifted in production"
            assert (
                "Distance between the two airports (mile)" in output["annotations"]["description"]
            )
            assert alert(heard, "ServiceDown") is None

            service.process.kill()
            assert eventually(lambda: alert(heard, "ServiceDown"), PATIENCE), asked(
                prometheus, "ALERTS"
            )
            down = alert(heard, "ServiceDown") or {}
            assert down["annotations"]["runbook"] == "docs/runbook.md#servicedown"


def test_what_the_template_ships_is_read_by_prometheus_and_alertmanager(tmp_path: Path) -> None:
    (tmp_path / "prometheus.yml").write_bytes((TEMPLATE / "prometheus.yml").read_bytes())
    (tmp_path / "alerts.yml").write_text("groups: []\n")

    run(tool("promtool"), "check", "config", tmp_path / "prometheus.yml", cwd=tmp_path)
    run(tool("amtool"), "check-config", TEMPLATE / "alertmanager.yml", cwd=tmp_path)


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
