"""The service's description for people: one page of HTML that loads nothing from elsewhere."""

import json
from pathlib import Path
from typing import Any

from rung_ops.serving.service import Service

LAYOUT = Path(__file__).with_suffix(".html")


def page(service: Service) -> str:
    """Describe a service; while nothing is served, without the columns of a row."""
    # Imported at the first request for the page: the start of a service does without Jinja2.
    from rung_ops.system import html

    status = service.held
    serving = status.serving
    problems = list(status.problems if serving is not None else (service.advice,))
    if service.stopped is not None:
        problems.append(f"Stopped: {service.stopped.reason}")
    example: dict[str, Any] = serving.release.contract["example"] if serving is not None else {}
    together = {"columns": {name: [value, value] for name, value in example.items()}}
    return html.render(
        LAYOUT,
        ready=service.ready,
        release=serving.release.id if serving is not None else "no release",
        environment=service.environment,
        problems=problems,
        example=example,
        written=json.dumps(example, indent=2, ensure_ascii=False),
        columns=serving.reader.columns if serving is not None else (),
        asks=service.access.is_asked_for,
        one=_curl("/predict", example, service.access.is_asked_for),
        many=_curl("/predict/batch", together, service.access.is_asked_for),
    )


def _curl(path: str, body: dict[str, Any], asks: bool) -> str:
    written = json.dumps(body, ensure_ascii=False).replace("'", r"'\''")
    token = ' -H "authorization: Bearer $SERVICE_TOKEN"' if asks else ""
    kind = "-H 'content-type: application/json'"
    return f"curl http://localhost:8000{path}{token} {kind} \\\n  -d '{written}'"
