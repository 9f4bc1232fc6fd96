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

from rung_ops.model.released import Release
from rung_ops.model.rows import Refusal
from rung_ops.serving import openapi
from rung_ops.serving.access import answers, is_match, refused
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
    return _json(await run_in_threadpool(openapi.document, _service(request)))


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
    messages = {
        404: f"There is nothing at {request.url.path}: / names what there is.",
        405: f"{request.url.path} is not for {request.method}.",
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
