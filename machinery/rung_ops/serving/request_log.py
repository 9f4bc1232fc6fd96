"""What is reported of each request: a line of JSON, and what else listens; nothing by default."""

import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.routing import BaseRoute, Route

from rung_ops.serving.access import Asgi, is_match
from rung_ops.serving.batching import Job
from rung_ops.serving.service import Service

LOG = logging.getLogger("service")

KEY = "rung_ops.request"  # of the scope of a request that is reported
# Asked for every few seconds by platforms, which would hide the requests of callers.
UNREPORTED = {"/health/live", "/health/ready", "/healthz", "/ping", "/metrics"}
TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)
OTHER_PATH = "-"  # stands for a path without a route, which may hold anything


@dataclass(slots=True)
class Request:
    """A request, from its arrival to its answer; it holds no value that a caller sent as a row."""

    method: str
    path: str  # of its route, such as /customers/{id}; OTHER_PATH if it has none
    headers: dict[str, str]  # x-request-id, traceparent and tracestate, where they were sent
    arrived: int  # nanoseconds since 1970
    began: float  # by time.perf_counter(), as the moments below
    answered: float = 0.0
    status: int | None = None  # None if the caller left before the answer
    identity: str = ""  # the id of the prediction
    release: str = ""
    arm: str = ""
    rows: int | None = None
    submitted: float = 0.0  # when the decoded rows began to wait for their scores
    scored: float = 0.0
    trace: str = ""

    def submit(self, job: Job) -> None:
        """Note which release answers a request."""
        self.identity, self.release = job.identity, job.served.release.id
        self.arm, self.rows = job.served.arm, job.height
        self.submitted = time.perf_counter()

    @property
    def level(self) -> int:
        """The level of its line; a request that is refused under overload is no error."""
        if self.status is None or self.status < 500:
            return logging.INFO
        return logging.WARNING if self.status == 503 else logging.ERROR


Listener = Callable[[Request], None]


def reported(
    app: Asgi,
    service: Service,
    listeners: Sequence[Listener],
    routes: Sequence[BaseRoute] = (),
) -> Asgi:
    """Let listeners have each request once it was answered, one after the other.

    What a path holds besides one of the `routes` is not reported: callers put tokens there.
    """
    if not listeners:
        return app
    fixed = {
        route.path for route in routes if isinstance(route, Route) and not route.param_convertors
    }

    def known_path(scope: Any) -> str:
        path: str = scope["path"]
        if path in fixed:
            return path
        found = (getattr(route, "path", "") for route in routes if is_match(route, scope))
        return next(found, "") or OTHER_PATH

    async def outer(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        if scope["type"] != "http" or scope["path"] in UNREPORTED:
            await app(scope, receive, send)
            return
        request = Request(
            scope["method"],
            known_path(scope),
            _headers(scope["headers"]),
            time.time_ns(),
            time.perf_counter(),
        )
        scope[KEY] = request

        async def noted(message: Any) -> None:
            if message["type"] == "http.response.start":
                request.status = message["status"]
            await send(message)

        try:
            await app(scope, receive, noted)
        except Exception:
            request.status = request.status or 500
            raise
        finally:
            request.answered = time.perf_counter()
            _complete(request, service)
            for listen in listeners:
                try:
                    listen(request)
                except Exception:
                    LOG.exception("A request could not be reported")

    return outer


def _headers(headers: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    wanted = (b"x-request-id", b"traceparent", b"tracestate")
    return {name.decode(): value.decode("latin-1") for name, value in headers if name in wanted}


def _complete(request: Request, service: Service) -> None:
    """Name a request that was refused before it had rows, and the release that serves."""
    sent = request.headers.get("x-request-id", "")
    if not request.identity:
        is_valid = 0 < len(sent) <= 128 and sent.isascii() and sent.isprintable()
        request.identity = sent if is_valid else service.identity()
    if not request.release and service.held.serving is not None:
        request.release = service.held.serving.release.id
    if found := TRACEPARENT.fullmatch(request.headers.get("traceparent", "")):
        request.trace = found[1]


def log_line(request: Request) -> None:
    """Log one request, for JsonLines."""
    fields = {
        "request_id": request.identity,
        "trace_id": request.trace or None,
        "release": request.release or None,
        "arm": request.arm or None,
        "rows": request.rows,
        "method": request.method,
        "path": request.path,
        "status": request.status,
        "ms": round((request.answered - request.began) * 1000, 3),
    }
    known = {name: value for name, value in fields.items() if value is not None}
    answer = "the caller left" if request.status is None else request.status
    message = "%s %s: %s"
    LOG.log(request.level, message, request.method, request.path, answer, extra={"fields": known})


class JsonLines(logging.Formatter):
    """One JSON object for each record, on one line; `fields` of a record are further keys."""

    def __init__(self, **everywhere: Any) -> None:
        super().__init__()
        self._everywhere = everywhere

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {
            "time": moment.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **self._everywhere,
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def use_json(**everywhere: Any) -> None:
    """Log in JSON from now on, warnings included; each line has the given keys, too."""
    logging.captureWarnings(True)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(JsonLines(**everywhere))
