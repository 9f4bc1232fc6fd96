"""The pages of the service: health, the release that answers, metrics and documentation."""

import asyncio
import json
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from rung_ops.model.columns import Column
from rung_ops.model.released import Release
from rung_ops.model.rows import Problem, Reader, Refusal
from rung_ops.model.target import ONE_NUMBER, Kind
from rung_ops.project.service_settings import ReasonSettings
from rung_ops.serving.access import Access, answers, is_match, refused
from rung_ops.serving.answers import types_of
from rung_ops.serving.explaining import PARAMETER
from rung_ops.serving.service import Service

JSON = "application/json"
Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]
MANIFEST = (
    *("id", "model", "version", "created", "trained_until", "training_rows", "task", "format"),
    *("git_commit", "data_hash", "run_id", "parity", "packages"),
)
LAYOUT = Path(__file__).with_name("docs_page.html")
ADDRESS = re.compile(r"https?://[\w.:\[\]-]+(/[\w./~-]*)?", re.ASCII)
DEFAULT_ADDRESS = "http://localhost:8000"


def application(
    service: Service, further: list[BaseRoute], lifespan: Lifespan | None = None
) -> Starlette:
    """Make the application of all pages."""
    own: list[BaseRoute] = [
        Route("/", lambda request: RedirectResponse("docs")),
        Route("/health/live", _live),
        Route("/health/ready", _ready),
        Route("/model", _model),
        Route("/metrics", _metrics),
        Route("/openapi.json", _openapi),
        Route("/docs", _docs),
        Route("/predict", _answered_before, methods=["POST"]),
        Route("/predict/batch", _answered_before, methods=["POST"]),
    ]
    paths = [route.path for route in own if isinstance(route, Route)]
    routes = [*further, *own, *service.hooks.further_routes(paths)]
    # A project may have its own, or a `Mount`, to which its path without the last slash leads.
    routes += [
        route
        for route in (*HEALTH, INVOCATIONS)
        if not any(
            answers(known, path) for known in routes for path in (route.path, f"{route.path}/")
        )
    ]
    made = Starlette(
        # The project's come later, and refuse to start where they would match one of the others.
        routes=routes,
        lifespan=lifespan,
        exception_handlers={HTTPException: _in_json, Exception: _failed},
    )
    made.state.service = service
    made.router.redirect_slashes = False  # to the `Host` that the caller names; see _other_path()
    return made


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


async def _live(request: Request) -> Response:
    return _json({"live": True})  # on the event loop: no thread may have to be free for it


async def _ready(request: Request) -> Response:
    service = _service(request)
    return _json(service_status(service), 200 if service.ready else 503)


async def _model(request: Request) -> Response:
    service = _service(request)
    serving = service.held.serving
    if serving is None:
        raise HTTPException(503, f"No release is served: {service.advice}")
    return _json(service_status(service) | release_details(serving.release))


async def _metrics(request: Request) -> Response:
    # Not in Starlette's threads, which a project's routes may keep.
    text = await asyncio.to_thread(_service(request).metrics.exposition)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


async def _openapi(request: Request) -> Response:
    return _json(await run_in_threadpool(document, _service(request)))


async def _docs(request: Request) -> Response:
    url = str(request.base_url).rstrip("/")
    return HTMLResponse(await run_in_threadpool(docs_page, _service(request), url))


def service_status(service: Service) -> dict[str, Any]:
    """Return which releases are loaded, whether the service is ready, and what is wrong."""
    last, judged = service.rollout.last, datetime.fromtimestamp(service.rollout.judged, UTC)
    problems = _problems(service)
    if service.access.problem:
        problems.insert(0, service.access.problem)
    if service.log is not None and service.log.problem:
        problems.append(service.log.problem)
    return {
        "ready": service.ready,
        "environment": service.environment,
        **{"serving": None, "canary": None, "shadow": None} | service.held.ids(),
        "rollout": asdict(last) | {"at": judged.isoformat()} if last is not None else None,
        "stopped": asdict(service.stopped) if service.stopped is not None else None,
        "draining": service.draining,
        "problems": problems,
    }


def _problems(service: Service) -> list[str]:
    """Say what is wrong with the releases, and with what rows needed of the feature store lately."""
    serving = service.held.serving
    if serving is None:
        return [service.advice]
    lookup = serving.lookup
    return [*service.held.problems, *(lookup.problems() if lookup is not None else ())]


def release_details(release: Release) -> dict[str, Any]:
    """Describe a release: origin, metrics and contract."""
    made = {name: release.manifest[name] for name in MANIFEST if name in release.manifest}
    return {"release": made, **release.documents, "contract": release.contract}


def docs_page(service: Service, address: str = DEFAULT_ADDRESS) -> str:
    """Describe a service; while nothing is served, without the columns of a row.

    `address` comes from the caller: one with anything but a host, a port and a path is replaced.
    """
    # Imported at the first request for the page: the start of a service does without Jinja2.
    from rung_ops.system import html

    serving, problems = service.held.serving, _problems(service)
    if (stopped := service.stopped) is not None:  # may change meanwhile: a page is made in a thread
        problems.append(f"Stopped: {stopped.reason}")
    example: dict[str, Any] = serving.example() if serving is not None else {}
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


async def _answered_before(request: Request) -> Response:
    raise HTTPException(404)  # App takes these requests; the route knows which methods there are


async def _in_json(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404 and (other := _other_path(request)):
        return RedirectResponse(other)
    allowed = (error.headers or {}).get("Allow", "another method")
    messages = {
        404: f"There is nothing at {request.url.path}: / names what there is.",
        405: f"{request.url.path} is not for {request.method}, but for {allowed}.",
    }
    message = messages.get(error.status_code, error.detail)
    return refused(Refusal(error.status_code, message), error.headers)


def _other_path(request: Request) -> str | None:
    """Return the same path with or without its last slash, if that is a page: relative, without a host."""
    path: str = request.scope["path"]
    last = path.removesuffix("/").rpartition("/")[2]
    ends = path.endswith("/")
    scope = {**request.scope, "path": path[:-1] if ends else f"{path}/"}
    if not last or not any(is_match(route, scope) for route in request.app.routes):
        return None
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{'..' if ends else '.'}/{last}{'' if ends else '/'}{query}"


async def _failed(request: Request, error: Exception) -> Response:
    # Starlette raises the error again after this answer, and uvicorn logs it with its traceback.
    return refused(Refusal(500, f"{request.url.path} failed; the log has the reason."))


def _json(content: Any, code: int = 200) -> Response:
    return Response(msgspec.json.encode(content), code, media_type=JSON)


# What platforms call: SageMaker /ping, with rows to /invocations, and many others /healthz.
HEALTH = [Route("/healthz", _live), Route("/ping", _ready)]
INVOCATIONS = Route("/invocations", _answered_before, methods=["POST"])

REFERENCE = "#/components/schemas/{name}"
HEADERS = {
    "x-request-id": "Becomes the id of the prediction, or of many the beginning of their ids.",
    "x-key": "Whose request this is: while a new release is tried, one key gets one release.",
}
UNKNOWN = "The caller is not known: no token, or another one."
EXPLAIN = (
    "Whether each row is answered with its reasons: what speaks most against the person, in words of "
    "the contract. At most {most} rows then."
)
PROBLEMS = {
    "400": "The body is not JSON, a header cannot be logged, or the release gives no reasons.",
    "413": "The body or its number of rows is too large.",
    "415": "The body is of a media type that is not read here.",
    "422": "A row violates the contract: which, where and why.",
    "500": "The release could not score a row.",
    "503": "Nothing answers now, or too many requests wait.",
}


def document(service: Service) -> dict[str, Any]:
    """Describe a service; while nothing is served, without the columns of a row."""
    serving, most = service.held.serving, service.limits.max_rows
    reader, example, kind = None, None, ONE_NUMBER
    info = {"title": "Predictions", "version": "none"}
    if serving is not None:
        reader, example, kind = serving.reader, serving.example(), serving.release.kind
        info["version"] = serving.release.id
        if made := serving.release.contract.get("forecast"):
            info["description"] = f"Each prediction is a forecast, {made}."
    schemes = _schemes(service.access)
    known = _known(schemes) if service.access.is_asked_for else {}
    figures = _known(schemes) if service.access.metrics else {}
    described = _page("What answers: release, figures, card, contract", "503")
    counted = _page("Figures in Prometheus' format", kind="text/plain")
    components = {"schemas": schemas(reader, most, kind)}
    return {
        "openapi": "3.1.0",
        "info": info,
        "paths": {
            "/predict": {"post": _guarded(_predict(example, most, service.reasons), known)},
            "/predict/batch": {"post": _guarded(_batch(example), known)},
            "/health/live": {"get": _page("Whether the process answers")},
            "/health/ready": {"get": _page("Whether requests are welcome", "503")},
            "/model": {"get": _guarded(described, known)},
            "/metrics": {"get": _guarded(counted, figures)},
        },
        "components": components | ({"securitySchemes": schemes} if schemes else {}),
    }


def _schemes(access: Access) -> dict[str, Any]:
    """Describe how callers authenticate; empty if they need not."""
    if not access.asks:
        return {}
    schemes: dict[str, Any] = {"token": {"type": "http", "scheme": "bearer"}}
    if access.header:
        schemes["proxy"] = {
            "type": "apiKey",
            "in": "header",
            "name": access.header.decode(),
            "description": "Set by a trusted proxy, which has authenticated the caller.",
        }
    return schemes


def _known(schemes: dict[str, Any]) -> dict[str, Any]:
    return {"security": [{name: []} for name in schemes]} if schemes else {}


def _guarded(operation: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """Add to an operation what a caller has to show, and what happens otherwise."""
    if not known:
        return operation
    return operation | known | {"responses": operation["responses"] | {"401": _problem(UNKNOWN)}}


def _problem(text: str) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": _ref("Problem")}}}


def schemas(reader: Reader | None, most: int, kind: Kind = ONE_NUMBER) -> dict[str, Any]:
    """Describe what is read and answered: msgspec's own schema of the types that it decodes.

    What it adds are the rules that msgspec does not check, and what people want to know: units,
    descriptions, defaults.
    """
    answers = (*types_of(kind)[:3], Problem)
    read = (reader.row_type, reader.body_type) if reader is not None else ()
    _, schemas = msgspec.json.schema_components((*answers, *read), ref_template=REFERENCE)
    if reader is None:
        return schemas | {name: {"type": "object"} for name in ("Row", "Body")}
    rows, lists = (schemas[name]["properties"] for name in ("Row", "Columns"))
    for column in reader.columns:
        rules: dict[str, Any] = {}
        for check in reader.checks[column.name]:
            rules |= check.published
        rows[column.name] = _value(rows[column.name], column, rules)
        values = _not_null(lists[column.name])
        values["items"] = _value(values["items"], column, rules)
        values |= {"minItems": 1, "maxItems": most}
    return schemas


def _value(schema: dict[str, Any], column: Column, rules: dict[str, Any]) -> dict[str, Any]:
    """Add to the schema of a value what msgspec leaves out."""
    sentences = [column.description, f"Unit: {column.unit}." if column.unit else None, column.words]
    schema = schema | {"description": " ".join(filter(None, sentences))}
    value = _not_null(schema)
    value |= rules
    if column.family == "datetime":
        # Of the OpenAPI registry: a `date-time` has an offset.
        value["format"] = "date-time-local" if column.without_offset else "date-time"
    if "pattern" in value:  # as the contract writes it, not as Python does
        value["pattern"] = column.rules["pattern"]
    if not column.required:
        schema["default"] = column.default
    return schema


def _not_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Find the part of a schema that describes what is not null."""
    return schema["anyOf"][0] if "anyOf" in schema else schema  # type: ignore[no-any-return]


def _predict(example: dict[str, Any] | None, most: int, reasons: ReasonSettings) -> dict[str, Any]:
    row, answer = _ref("Row"), _ref("Answer")
    rows = {"type": "array", "items": row, "minItems": 1, "maxItems": most}
    body = {"oneOf": [row, rows]}
    explain = {
        **{"name": PARAMETER, "in": "query", "description": EXPLAIN.format(most=reasons.max_rows)},
        "schema": {"type": "boolean", "default": reasons.always},
    }
    operation = _operation(
        "Predict for one row, or for an array of rows",
        {"application/json": {"schema": body} | ({"example": example} if example else {})},
        {"application/json": {"schema": {"oneOf": [answer, _ref("Answers")]}}},
    )
    operation["parameters"].append(explain)
    return operation


def _batch(example: dict[str, Any] | None) -> dict[str, Any]:
    body: dict[str, Any] = {"schema": _ref("Body")}
    if example:
        body["example"] = {"columns": {name: [value] for name, value in example.items()}}
    return _operation(
        "Predict for a table: columns in JSON",
        {"application/json": body},
        {"application/json": {"schema": _ref("AnswersByColumn")}},
    )


def _operation(summary: str, content: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    problems = {status: _problem(text) for status, text in PROBLEMS.items()}
    problems["503"]["headers"] = {
        "retry-after": {"schema": {"type": "integer"}, "description": "Seconds to wait."}
    }
    return {
        "summary": summary,
        "parameters": [
            {"name": name, "in": "header", "schema": {"type": "string"}, "description": text}
            for name, text in HEADERS.items()
        ],
        "requestBody": {"required": True, "content": content},
        "responses": {"200": {"description": "Predictions", "content": answer}, **problems},
    }


def _page(summary: str, *further: str, kind: str = "application/json") -> dict[str, Any]:
    response = {"description": summary, "content": {kind: {}}}
    return {"summary": summary, "responses": dict.fromkeys(("200", *further), response)}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": REFERENCE.format(name=name)}
