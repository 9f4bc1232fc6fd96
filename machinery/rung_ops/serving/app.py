"""Answer predictions: a raw ASGI callable in front of Starlette.

Routing, middleware and request objects would cost as much again as the prediction itself.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from rung_ops.model.rows import Refusal, Table
from rung_ops.serving import answers, explaining
from rung_ops.serving.arrow import FORMS
from rung_ops.serving.body_budget import BodyBudget
from rung_ops.serving.jobs import Job, ScoringError
from rung_ops.serving.loaded_release import LoadedRelease
from rung_ops.serving.request_input import (
    Disconnected,
    Headers,
    Message,
    Receive,
    RequestHeaders,
    parse_headers,
    read_body,
)
from rung_ops.serving.service import Service

LOG = logging.getLogger("service")

Send = Callable[[Message], Awaitable[None]]
Read = Callable[[LoadedRelease], list[Any] | Table]

JSON = (b"content-type", b"application/json")
ANY_JSON = ("", "application/json", "application/x-www-form-urlencoded")  # the last is curl's
TABLES_UNEXPLAINED = "A table is not explained: send rows to /predict for their reasons."
KINDS = ("application/json", *FORMS)


class App:
    """Answers POST /predict and /predict/batch; Starlette answers everything else."""

    def __init__(self, service: Service, pages: Callable[..., Awaitable[None]]) -> None:
        """Answer for a service.

        Args:
            service: what answers.
            pages: the ASGI application for all other paths, and for the lifespan.
        """
        self._service = service
        self._pages = pages
        self._budget = BodyBudget(service.limits.max_bodies)
        self._routes = {"/predict": self._predict, "/predict/batch": self._batch}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request: the ASGI interface."""
        route = self._routes.get(scope.get("path", "")) if scope["type"] == "http" else None
        if route is None or scope["method"] != "POST":
            await self._pages(scope, receive, send)
            return
        service = self._service
        status = 200
        headers: Headers = [JSON]
        try:
            # No query, which is the rule, costs nothing.
            query = scope.get("query_string", b"")
            asked = service.reasons.always or (query != b"" and explaining.is_asked(query))
            body = await route(scope["headers"], receive, headers, asked)
        except Refusal as refusal:
            status, body = refusal.status, refusal.body()
            if refusal.retry_after is not None:
                headers.append((b"retry-after", b"%d" % refusal.retry_after))
            service.metrics.count("refused" if status == 503 else "invalid")
        except ScoringError as failed:
            status, body = 500, Refusal(500, str(failed)).body()
        except Disconnected:
            return
        except Exception:
            LOG.exception("%s could not be answered", scope["path"])
            status, body = 500, Refusal(500, "The service failed; its log has the reason.").body()
            service.metrics.count("failed")
        headers.append((b"content-length", b"%d" % len(body)))
        if service.draining:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _predict(
        self, sent: Headers, receive: Receive, headers: Headers, asked: bool
    ) -> bytes:
        """Answer one JSON object, or an array of them."""
        arrived = time.perf_counter()
        service = self._service
        served = service.answering()
        service.batcher.admit(1)
        given = parse_headers(sent)
        body = await self._body(receive, given)
        if _first(body) == b"[":
            most = service.limits.max_rows
            job = self._job(served, given, arrived, lambda held: held.reader.many(body, most))
            service.batcher.admit(job.height)
            await self._scored(job, asked)
            return answers.of_many(job)
        job = self._job(served, given, arrived, lambda held: [held.reader.one(body)])
        job.alone = True
        await self._scored(job, asked)
        return answers.of_one(job)

    async def _batch(self, sent: Headers, receive: Receive, headers: Headers, asked: bool) -> bytes:
        """Answer a table in the form in which it came: columns in JSON, or Arrow."""
        arrived = time.perf_counter()
        service = self._service
        served = service.answering()
        if asked:
            raise Refusal(400, TABLES_UNEXPLAINED)
        service.batcher.admit(1, by_column=True)
        given = parse_headers(sent)
        form = FORMS.get(given.media_type)
        if form is None and given.media_type not in ANY_JSON:
            raise Refusal(415, f"{given.media_type} is not supported: send {', '.join(KINDS)}.")
        body = await self._body(receive, given)
        most = service.limits.max_rows

        def read(held: LoadedRelease) -> Table:
            if form is None:
                return held.reader.columnar(body, most)
            return held.arrow.read(body, form, most)

        job = self._job(served, given, arrived, read)
        service.batcher.admit(job.height, by_column=True)
        await self._scored(job)
        if form is None:
            return answers.by_columns(job)
        headers[:] = [
            (b"content-type", given.media_type.encode()),
            (b"x-release", job.served.release.id.encode()),
        ]
        return answers.as_arrow(job, form)

    async def _body(self, receive: Receive, given: RequestHeaders) -> bytes:
        return await read_body(receive, given.length, self._service.limits.max_body, self._budget)

    def _job(self, served: LoadedRelease, given: RequestHeaders, arrived: float, read: Read) -> Job:
        service = self._service
        identity = given.request_id or service.identity()
        rows = read(served)
        key = given.key
        if service.held.canary is not None:
            key = key or served.reader.key(rows) or identity
            canary = service.arm(key)
            if canary is not None and not service.alike:
                try:
                    rows = read(canary)
                except Refusal:  # the caller cannot know the other columns of a canary
                    canary = None
            served = canary or served
        return Job(served, identity, key, arrived, service.future(), rows)

    async def _scored(self, job: Job, asked: bool = False) -> None:
        service = self._service
        if asked:
            service.explainer.admit(job.served.release, job.height)
            job.explain(service.future())
        try:
            await service.batcher.submit(job)
            if job.explained is not None:
                await job.explained
        except ScoringError as failed:
            service.metrics.count("failed", job.served.arm)
            service.rollout.fail(job.served.arm)
            # Of a hook the traceback is wanted; a model has none that says more.
            cause = failed.__cause__.__cause__ if failed.__cause__ is not None else None
            LOG.error("Request %s: %s", job.identity, failed, exc_info=cause)
            raise


def _first(body: bytes) -> bytes:
    """Return the first character of a JSON text that is not white space."""
    first = body[:1]
    return body.lstrip(b" \t\r\n")[:1] if first in (b" ", b"\t", b"\r", b"\n") else first
