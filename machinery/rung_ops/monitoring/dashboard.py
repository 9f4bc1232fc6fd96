"""The Grafana dashboard: the service, the predictions, each feature of the contract, the outcomes.

Written for Grafana 10 and later, to be imported by hand or provisioned from its file.
"""

from collections.abc import Sequence
from typing import Any

from rung_ops.monitoring.feature_labels import ANSWERS, Subject
from rung_ops.monitoring.monitor_panels import feature, outcomes, rows
from rung_ops.monitoring.panels import arranged
from rung_ops.monitoring.service_panels import service_panels
from rung_ops.serving.slo import Promise

SCHEMA_VERSION = 39  # of Grafana 10.4; later ones read it and carry it on


def dashboard(
    project: str, features: Sequence[Subject], metric: str, promise: Promise
) -> dict[str, Any]:
    """Make the dashboard.

    Args:
        project: its name.
        features: of the contract; each gets a panel.
        metric: the deciding figure.
        promise: [slo] of service.toml, drawn as lines.
    """
    sections = {
        "Service": service_panels(promise),
        "Rows": rows(),
        "Drift": [feature(subject) for subject in (ANSWERS, *features)],
        "Outcomes and age": outcomes(metric),
    }
    return {
        "uid": f"{project[:30]}-model",
        "title": f"{project}: service and model",
        "tags": ["model"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "timezone": "browser",
        "refresh": "30s",
        "time": {"from": "now-24h", "to": "now"},
        "templating": {"list": _variables()},
        "annotations": {"list": []},
        "panels": arranged(sections),
    }


def _variables() -> list[dict[str, Any]]:
    source = {"name": "datasource", "label": "Prometheus", "type": "datasource"}
    values = "label_values(service_ready, environment)"
    environment = {
        "name": "environment",
        "label": "Environment",
        "type": "query",
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "query": {"query": values, "refId": "environment"},
        "definition": values,
        "refresh": 2,
        "current": {"text": "production", "value": "production"},
    }
    return [source | {"query": "prometheus"}, environment]
