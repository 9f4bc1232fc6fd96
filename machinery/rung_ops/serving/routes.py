"""Routes other than predictions: health, served release, metrics and documentation."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from rung_ops.model.rows import Refusal
from rung_ops.serving import docs_page, openapi, status
from rung_ops.serving.metrics import CONTENT_TYPE
from rung_ops.serving.service import Service

JSON = "application/json"
Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


def application(
    service: Service, further: list[BaseRoute], lifespan: Lifespan | None = None
) -> Starlette:
    """Make the application of all pages.

    Args:
        service: that they tell of.
        further: routes of others, which come first.
        lifespan: what runs from start to end.

    Raises:
        HookError: the project's own routes cannot be used.
    """
    pages = Pages(service)
    own: list[BaseRoute] = [
        Route("/", lambda request: RedirectResponse("docs")),
        Route("/health/live", pages.live),
        Route("/health/ready", pages.ready),
        Route("/model", pages.model),
        Route("/metrics", pages.metrics),
        Route("/openapi.json", pages.openapi),
        Route("/docs", pages.docs),
        Route("/predict", _answered_before, methods=["POST"]),
        Route("/predict/batch", _answered_before, methods=["POST"]),
    ]
    paths = [route.path for route in own if isinstance(route, Route)]
    return Starlette(
        # The project's come last, and refuse to start where they would match one of the others.
        routes=[*further, *own, *service.hooks.further_routes(paths)],
        lifespan=lifespan,
        exception_handlers={HTTPException: _in_json, Exception: _failed},
    )


class Pages:
    """The pages of one service."""

    def __init__(self, service: Service) -> None:
        """Tell of a service."""
        self._service = service

    async def live(self, request: Request) -> Response:
        """Report that the process responds; restart it if it does not."""
        return _json({"live": True})

    async def ready(self, request: Request) -> Response:
        """Say whether requests are welcome, and what is wrong: while they are not, send none."""
        return _json(status.service_status(self._service), 200 if self._service.ready else 503)

    async def model(self, request: Request) -> Response:
        """Describe the serving release: version, metrics, model card, contract and rollout."""
        serving = self._service.held.serving
        if serving is None:
            raise HTTPException(503, f"No release is served: {self._service.advice}")
        return _json(status.service_status(self._service) | status.release_details(serving.release))

    async def metrics(self, request: Request) -> Response:
        """Give the figures for Prometheus."""
        return Response(self._service.metrics.exposition(), media_type=CONTENT_TYPE)

    async def openapi(self, request: Request) -> Response:
        """Describe the service for programs."""
        return _json(openapi.document(self._service))

    async def docs(self, request: Request) -> Response:
        """Describe the service for people."""
        return HTMLResponse(docs_page.page(self._service, str(request.base_url).rstrip("/")))


async def _answered_before(request: Request) -> Response:
    raise HTTPException(404)  # App takes these requests; the route knows which methods there are


async def _in_json(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    messages = {
        404: f"There is nothing at {request.url.path}: / names what there is.",
        405: f"{request.url.path} is not for {request.method}.",
    }
    message = messages.get(error.status_code, error.detail)
    return Response(
        Refusal(error.status_code, message).body(), error.status_code, error.headers, JSON
    )


async def _failed(request: Request, error: Exception) -> Response:
    # Starlette raises the error again after this answer, and uvicorn logs it with its traceback.
    return Response(
        Refusal(500, f"{request.url.path} failed; the log has the reason.").body(), 500, None, JSON
    )


def _json(content: Any, code: int = 200) -> Response:
    return Response(msgspec.json.encode(content), code, media_type=JSON)
