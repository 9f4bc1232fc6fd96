"""Answers predictions: a raw ASGI callable in front of Starlette, from headers and body to answer.

Routing, middleware and request objects would cost as much again as the prediction itself.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect

from rung_ops.model.json_text import SLICE
from rung_ops.model.rows import Reader, Refusal, Result, Steps, Table
from rung_ops.serving import answers, explaining, pages, request_log
from rung_ops.serving.batching import Job
from rung_ops.serving.hooks import ScoringError
from rung_ops.serving.loaded_release import LoadedRelease
from rung_ops.serving.service import Service

LOG = logging.getLogger("service")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
Sent = list[Any] | Table

# Iterations of the event loop after a slice of a large body: a request that has arrived takes some to
# become a job, and some more to be scored.
MIN_PAUSE, MAX_PAUSE = 2, 16
LONGEST_ID = 128  # characters of x-request-id
LONGEST_KEY = 1_024  # characters of x-key
JSON = (b"content-type", b"application/json")
ANY_JSON = ("", "application/json", "application/x-www-form-urlencoded")  # the last is curl's
TABLES_UNEXPLAINED = "A table is not explained: send rows to /predict for their reasons."


class Layout(NamedTuple):
    """How a body is decoded; the last number of a call is the most rows that it may hold."""

    at_once: Callable[[Reader, bytes, int], Sent]
    in_steps: Callable[[Reader, bytes, int], Steps[Any]]
    rows: Callable[[Reader, bytes], int]  # an estimate of their number


ROW = Layout(
    lambda reader, body, most: [reader.one(body)],
    lambda reader, body, most: reader.one_in_steps(body),
    lambda reader, body: 1,
)
ROWS = Layout(Reader.many, Reader.many_in_steps, lambda reader, body: body.count(b"{"))
TABLE = Layout(
    Reader.columnar,
    Reader.columnar_in_steps,
    lambda reader, body: body.count(b",") // len(reader.columns),
)


class App:
    """Answers POST /predict and /predict/batch; `others` answers everything else, and the lifespan."""

    def __init__(self, service: Service, others: Starlette) -> None:
        self._service = service
        self._others = others
        self._max_body = service.limits.max_body
        self._budget = BodyBudget(service.limits.max_bodies)
        self._large = LargeBodies(service.limits.max_bodies)
        self._routes = {"/predict": self._predict, "/predict/batch": self._batch}
        if pages.INVOCATIONS in others.routes:
            self._routes[pages.INVOCATIONS.path] = self._predict

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request: the ASGI interface."""
        route = self._routes.get(scope.get("path", "")) if scope["type"] == "http" else None
        if route is None or scope["method"] != "POST":
            await self._others(scope, receive, send)
            return
        service = self._service
        status = 200
        headers: Headers = [JSON]
        try:
            # No query, which is the rule, costs nothing.
            query = scope.get("query_string", b"")
            explain = service.reasons.always or (query != b"" and explaining.is_requested(query))
            body = await route(scope, receive, explain)
        except Refusal as refusal:
            status, body = refusal.status, refusal.body()
            if refusal.retry_after is not None:
                headers.append((b"retry-after", b"%d" % refusal.retry_after))
            service.metrics.count("refused" if status == 503 else "invalid")
        except ScoringError as failed:
            status, body = 500, Refusal(500, str(failed)).body()
        except ClientDisconnect:
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

    async def _predict(self, scope: Message, receive: Receive, explain: bool) -> bytes:
        """Answer one JSON object, or an array of them."""
        arrived = time.perf_counter()
        served, batcher = self._service.answering(), self._service.batcher
        batcher.admit(1)
        parsed = parse_headers(scope["headers"])
        if parsed.length > SLICE:  # many rows, for which there may be no room
            batcher.admit(1, is_large=True)
        body = await self._body(receive, parsed)
        is_single = _first(body) != b"["
        job = await self._decoded(ROW if is_single else ROWS, body, served, parsed, arrived)
        if is_single:
            job.is_single = True
        else:
            batcher.admit(job.height)
        await self._score(job, scope, explain)
        return answers.of_row(job) if is_single else answers.of_rows(job)

    async def _batch(self, scope: Message, receive: Receive, explain: bool) -> bytes:
        """Answer a table: columns in JSON."""
        arrived = time.perf_counter()
        served, batcher = self._service.answering(), self._service.batcher
        if explain:
            raise Refusal(400, TABLES_UNEXPLAINED)
        batcher.admit(1, is_large=True)
        parsed = parse_headers(scope["headers"])
        if parsed.media_type not in ANY_JSON:
            raise Refusal(
                415,
                f"{parsed.media_type} is not supported: send the columns as application/json, "
                '{"columns": {name: [values]}}.',
            )
        body = await self._body(receive, parsed)
        job = await self._decoded(TABLE, body, served, parsed, arrived)
        batcher.admit(job.height, is_large=True)
        await self._score(job, scope)
        return answers.of_table(job)

    async def _body(self, receive: Receive, parsed: "RequestHeaders") -> bytes:
        return await read_body(receive, parsed.length, self._max_body, self._budget)

    async def _decoded(
        self,
        layout: Layout,
        body: bytes,
        served: LoadedRelease,
        parsed: "RequestHeaders",
        arrived: float,
    ) -> Job:
        """Make the job of a body; one of more than a slice waits for its turn to be decoded."""
        service, most = self._service, self._service.limits.max_rows
        if len(body) <= SLICE:
            return self._job(
                served, parsed, arrived, lambda loaded: layout.at_once(loaded.reader, body, most)
            )
        async with self._large.turn(len(body)):
            rows = min(layout.rows(served.reader, body), most)
            service.batcher.admit(rows, is_large=True)
            decoded = {served: await self._gently(layout.in_steps(served.reader, body, most))}
            canary = service.held.canary
            if canary is not None and service.canary_has_same_columns:
                decoded[canary] = decoded[served]
            elif canary is not None:
                with contextlib.suppress(Refusal):
                    decoded[canary] = await self._gently(layout.in_steps(canary.reader, body, most))

            def read(loaded: LoadedRelease) -> Sent:
                if loaded not in decoded:  # it has other columns, or began to answer meanwhile
                    raise Refusal(422, f"{loaded.release.id} takes other rows.")
                return decoded[loaded]

            return self._job(served, parsed, arrived, read)

    def _job(
        self,
        served: LoadedRelease,
        parsed: "RequestHeaders",
        arrived: float,
        read: Callable[[LoadedRelease], Sent],
    ) -> Job:
        service = self._service
        identity = parsed.request_id or service.identity()
        rows = read(served)
        key = parsed.key
        if service.held.canary is not None:
            key = key or served.reader.key(rows) or identity
            canary = service.arm(key)
            if canary is not None and not service.canary_has_same_columns:
                try:
                    rows = read(canary)
                except Refusal:  # the caller cannot know the other columns of a canary
                    canary = None
            served = canary or served
        return Job(served, identity, key, arrived, rows)

    async def _gently(self, steps: Steps[Result]) -> Result:
        """Take steps with some iterations of the event loop after each, so that others are answered."""
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value
            for iteration in range(MAX_PAUSE):
                await asyncio.sleep(0)
                if iteration >= MIN_PAUSE and not self._service.batcher.has_small():
                    break

    async def _score(self, job: Job, scope: Message, explain: bool = False) -> None:
        service = self._service
        request = scope.get(request_log.KEY)  # None unless requests are reported
        if request is not None:
            request.submit(job)
        if explain:
            service.explainer.admit(job.served.release, job.height)
            job.explain()
        try:
            await service.batcher.submit(job)
            if job.explained is not None:
                await job.explained
            if request is not None:
                request.scored = time.perf_counter()
        except ScoringError as failed:
            service.metrics.count("failed", job.served.arm)
            service.rollout.fail(job.served.arm)
            # Of a hook the traceback is wanted; a model has none that says more.
            cause = failed.__cause__.__cause__ if failed.__cause__ is not None else None
            LOG.error(
                "Request %s: %s",
                job.identity,
                failed,
                exc_info=cause,
                extra={"fields": {"request_id": job.identity, "release": job.served.release.id}},
            )
            raise


class RequestHeaders(NamedTuple):
    """The headers that the service reads; what was not sent is empty."""

    request_id: str
    key: str
    media_type: str  # of the body, in lower case, without parameters
    length: int  # content-length in bytes


def parse_headers(headers: Headers) -> RequestHeaders:
    """Parse the headers of a request; refuse an id or a key that cannot be logged."""
    request_id = key = media_type = ""
    length = 0
    for name, value in headers:
        if name == b"content-length":
            length = int(value) if value.isdigit() else 0
        elif name == b"content-type":
            media_type = value.decode("latin-1").partition(";")[0].strip().lower()
        elif name == b"x-request-id":
            request_id = _printable(value, "x-request-id", LONGEST_ID)
        elif name == b"x-key":
            key = _printable(value, "x-key", LONGEST_KEY)
    return RequestHeaders(request_id, key, media_type, length)


def _printable(value: bytes, name: str, longest: int) -> str:
    word = value.decode("latin-1")
    if len(word) > longest or not (word.isascii() and word.isprintable()):
        raise Refusal(400, f"{name}: send at most {longest} printable ASCII characters.")
    return word


def _first(body: bytes) -> bytes:
    """Return the first character of a JSON text that is not white space."""
    first = body[:1]
    return body.lstrip(b" \t\r\n")[:1] if first in (b" ", b"\t", b"\r", b"\n") else first


async def read_body(receive: Receive, announced: int, most: int, budget: "BodyBudget") -> bytes:
    """Read the body of a request, of at most `most` bytes; `announced` is its size, or 0."""
    _require_size(announced, most)
    message = await _part(receive)
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        _require_size(len(body), most)
        return body
    parts = [body]
    with budget.reading() as unfinished:
        budget.add(unfinished, len(body))
        while message.get("more_body"):
            message = await _part(receive)
            parts.append(message.get("body", b""))
            budget.add(unfinished, len(parts[-1]))
            _require_size(unfinished.size, most)
    return b"".join(parts)


async def _part(receive: Receive) -> Message:
    message = await receive()
    if message["type"] != "http.request":
        raise ClientDisconnect
    return message


def _require_size(size: int, most: int) -> None:
    if size > most:
        raise Refusal(413, f"The body is larger than {most:,} bytes. Send fewer rows at a time.")


class LargeBodies:
    """Lets complete large bodies be decoded one after the other, and bounds their bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._turn = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def turn(self, size: int) -> AsyncIterator[None]:
        """Wait until it is the turn of a body of so many bytes; refuse it if too many wait."""
        if self._used and self._used + size > self._limit:
            raise _too_many_bodies()
        self._used += size
        try:
            async with self._turn:
                yield
        finally:
            self._used -= size


@dataclass(eq=False)
class UnfinishedBody:
    """A body that comes in parts."""

    task: asyncio.Task[Any]  # that reads it
    size: int = 0  # bytes that have come
    gave_way: bool = False


class BodyBudget:
    """Bounds the bytes of incomplete bodies, over all requests: the oldest body gives way.

    So callers that begin with bodies and never end them are refused, and not those who come later.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._unfinished: dict[UnfinishedBody, None] = {}

    @contextlib.contextmanager
    def reading(self) -> Iterator[UnfinishedBody]:
        """Let the running task read a body; one that has to give way is refused."""
        task = asyncio.current_task()
        assert task is not None
        body = UnfinishedBody(task)
        try:
            yield body
        except asyncio.CancelledError:
            if not body.gave_way:
                raise
            raise _too_many_bodies() from None
        finally:
            self._remove(body)
            if body.gave_way:
                task.uncancel()

    def add(self, body: UnfinishedBody, size: int) -> None:
        """Count a part of a body; too many bytes wake the task of the oldest body, to refuse it."""
        self._unfinished[body] = None
        body.size += size
        self._used += size
        while self._used > self._limit:
            oldest = next(iter(self._unfinished))
            self._remove(oldest)
            if oldest is body:
                raise _too_many_bodies()
            oldest.gave_way = True
            oldest.task.cancel()

    def _remove(self, body: UnfinishedBody) -> None:
        if body in self._unfinished:
            del self._unfinished[body]
            self._used -= body.size


def _too_many_bodies() -> Refusal:
    message = "Too many bodies are being sent: send faster, or fewer rows at a time."
    return Refusal(503, message, retry_after=1)
