"""The way of a prediction through the service: a raw ASGI callable in front of Starlette.

Routing, middleware and request objects would cost as much again as the prediction itself.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from rung_ops.serving import answers
from rung_ops.serving.arrow import FORMS
from rung_ops.serving.jobs import Failed, Job
from rung_ops.serving.loaded_release import Served
from rung_ops.serving.refusal import Refusal
from rung_ops.serving.request_input import Given, Gone, Headers, Message, Receive, given, whole
from rung_ops.serving.requests import Table
from rung_ops.serving.service import Service

LOG = logging.getLogger("service")

Send = Callable[[Message], Awaitable[None]]
Read = Callable[[Served], list[Any] | Table]

JSON = (b"content-type", b"application/json")
ANY_JSON = ("", "application/json", "application/x-www-form-urlencoded")  # the last is curl's
KINDS = ("application/json", *FORMS)


class App:
    """Answers POST /predict and /predict/batch; hands everything else on."""

    def __init__(self, service: Service, pages: Callable[..., Awaitable[None]]) -> None:
        """Serve.

        Args:
            service: that answers.
            pages: the ASGI application for all other paths, and for start and end.
        """
        self._service = service
        self._pages = pages
        self._routes = {"/predict": self._predict, "/predict/batch": self._batch}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI has it."""
        route = self._routes.get(scope.get("path", "")) if scope["type"] == "http" else None
        if route is None or scope["method"] != "POST":
            await self._pages(scope, receive, send)
            return
        service = self._service
        status = 200
        headers: Headers = [JSON]
        try:
            body = await route(scope["headers"], receive, headers)
        except Refusal as refusal:
            status, body = refusal.status, refusal.body()
            if refusal.retry_after is not None:
                headers.append((b"retry-after", b"%d" % refusal.retry_after))
            service.metrics.count("refused" if status == 503 else "invalid")
        except Failed as failed:
            status, body = 500, Refusal(500, str(failed)).body()
        except Gone:
            return
        except Exception:
            LOG.exception("%s could not be answered", scope["path"])
            status, body = 500, Refusal(500, "This is a fault of the service; it is logged.").body()
            service.metrics.count("failed")
        headers.append((b"content-length", b"%d" % len(body)))
        if service.draining:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _predict(self, sent: Headers, receive: Receive, headers: Headers) -> bytes:
        """Answer one JSON object, or an array of them."""
        arrived = time.perf_counter()
        service = self._service
        served = service.answering()
        service.batcher.admit(1)
        asked = given(sent)
        body = await whole(receive, asked.length, service.limits.max_body)
        if _first(body) == b"[":
            most = service.limits.max_rows
            job = self._job(served, asked, arrived, lambda held: held.reader.many(body, most))
            service.batcher.admit(job.height)
            await self._scored(job)
            return answers.of_many(job)
        job = self._job(served, asked, arrived, lambda held: [held.reader.one(body)])
        job.alone = True
        await self._scored(job)
        return answers.of_one(job)

    async def _batch(self, sent: Headers, receive: Receive, headers: Headers) -> bytes:
        """Answer a table in the form in which it came: columns in JSON, or Arrow."""
        arrived = time.perf_counter()
        service = self._service
        served = service.answering()
        service.batcher.admit(1, by_column=True)
        asked = given(sent)
        form = FORMS.get(asked.kind)
        if form is None and asked.kind not in ANY_JSON:
            raise Refusal(415, f"{asked.kind} is not read here: send {', '.join(KINDS)}.")
        body = await whole(receive, asked.length, service.limits.max_body)
        most = service.limits.max_rows

        def read(held: Served) -> Table:
            if form is None:
                return held.reader.columnar(body, most)
            return held.arrow.read(body, form, most)

        job = self._job(served, asked, arrived, read)
        service.batcher.admit(job.height, by_column=True)
        await self._scored(job)
        if form is None:
            return answers.by_columns(job)
        headers[:] = [
            (b"content-type", asked.kind.encode()),
            (b"x-release", job.served.release.id.encode()),
        ]
        return answers.as_arrow(job, form)

    def _job(self, served: Served, asked: Given, arrived: float, read: Read) -> Job:
        service = self._service
        identity = asked.identity or service.identity()
        rows = read(served)
        key = asked.key
        if service.standing.canary is not None:
            key = key or served.reader.key(rows) or identity
            canary = service.arm(key)
            if canary is not None and not service.alike:
                try:
                    rows = read(canary)
                except Refusal:  # the caller does not know of the canary's other columns
                    canary = None
            served = canary or served
        return Job(served, identity, key, arrived, service.future(), rows)

    async def _scored(self, job: Job) -> None:
        service = self._service
        try:
            await service.batcher.submit(job)
        except Failed as failed:
            service.metrics.count("failed", job.served.arm)
            service.rollout.fail(job.served.arm)
            # Of a hook the traceback is wanted; a model has none that says more.
            cause = failed.__cause__.__cause__ if failed.__cause__ is not None else None
            LOG.error("Request %s: %s", job.identity, failed, exc_info=cause)
            raise


def _first(body: bytes) -> bytes:
    """Give the first sign of a JSON text."""
    first = body[:1]
    return body.lstrip(b" \t\r\n")[:1] if first in (b" ", b"\t", b"\r", b"\n") else first
