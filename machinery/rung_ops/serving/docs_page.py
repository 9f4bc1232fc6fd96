"""The service's description for people: one page of HTML that loads nothing from elsewhere."""

import json
import re
from pathlib import Path
from typing import Any

from rung_ops.serving.service import Service

LAYOUT = Path(__file__).with_suffix(".html")
ADDRESS = re.compile(r"https?://[\w.:\[\]-]+(/[\w./~-]*)?", re.ASCII)
DEFAULT_ADDRESS = "http://localhost:8000"


def page(service: Service, address: str = DEFAULT_ADDRESS) -> str:
    """Describe a service; while nothing is served, without the columns of a row.

    Args:
        service: what answers.
        address: where the caller reached it, for the commands to copy. It comes from the caller: one
            with anything but a host, a port and a path is replaced.
    """
    # Imported at the first request for the page: the start of a service does without Jinja2.
    from rung_ops.system import html

    status = service.held
    serving = status.serving
    problems = list(status.problems if serving is not None else (service.advice,))
    if service.stopped is not None:
        problems.append(f"Stopped: {service.stopped.reason}")
    example: dict[str, Any] = serving.release.contract["example"] if serving is not None else {}
    if not ADDRESS.fullmatch(address):
        address = DEFAULT_ADDRESS
    asks = service.access.is_asked_for
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
        asks=asks,
        one=_curl(f"{address}/predict", example, asks),
        many=_curl(f"{address}/predict/batch", together, asks),
    )


def _curl(url: str, body: dict[str, Any], asks: bool) -> str:
    written = json.dumps(body, ensure_ascii=False).replace("'", r"'\''")
    token = ' -H "authorization: Bearer $SERVICE_TOKEN"' if asks else ""
    kind = "-H 'content-type: application/json'"
    return f"curl {url}{token} {kind} \\\n  -d '{written}'"
