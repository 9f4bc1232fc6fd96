"""Answers predictions: a raw ASGI callable in front of Starlette, from headers and body to answer.

Routing, middleware and request objects would cost as much again as the prediction itself.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from types import TracebackType
from typing import Any, NamedTuple

from starlette.requests import ClientDisconnect

from rung_ops.model.json_text import SLICE
from rung_ops.model.rows import Refusal, Result, Steps, Table
from rung_ops.serving import answers, explaining
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
Read = Callable[[LoadedRelease], Sent]

# Iterations of the event loop after a slice of a large body: a request that has arrived takes some to
# become a job, and some more to be scored.
MIN_PAUSE, MAX_PAUSE = 2, 16
LONGEST_ID = 128  # characters of x-request-id
LONGEST_KEY = 1_024  # characters of x-key
JSON = (b"content-type", b"application/json")
ANY_JSON = ("", "application/json", "application/x-www-form-urlencoded")  # the last is curl's
TABLES_UNEXPLAINED = "A table is not explained: send rows to /predict for their reasons."


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
        self._large = LargeBodies(service.limits.max_bodies)
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
            explain = service.reasons.always or (query != b"" and explaining.is_requested(query))
            body = await route(scope["headers"], receive, explain)
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

    async def _predict(self, headers: Headers, receive: Receive, explain: bool) -> bytes:
        """Answer one JSON object, or an array of them."""
        arrived = time.perf_counter()
        service = self._service
        served = service.answering()
        service.batcher.admit(1)
        parsed = parse_headers(headers)
        if parsed.length > SLICE:  # many rows, for which there may be no room
            service.batcher.admit(1, is_large=True)
        body = await self._body(receive, parsed)
        if _first(body) == b"[":
            most = service.limits.max_rows
            job = await self._job_of_many(
                *(served, parsed, arrived, len(body)),
                lambda loaded: loaded.reader.many(body, most),
                lambda loaded: loaded.reader.many_in_steps(body, most),
                lambda: min(body.count(b"{"), most),
            )
            service.batcher.admit(job.height)
            await self._score(job, explain)
            return answers.of_rows(job)
        if len(body) > SLICE:
            job = await self._job_of_many(
                *(served, parsed, arrived, len(body)),
                lambda loaded: [loaded.reader.one(body)],
                lambda loaded: loaded.reader.one_in_steps(body),
                lambda: 1,
            )
        else:
            job = self._job(served, parsed, arrived, lambda loaded: [loaded.reader.one(body)])
        job.is_single = True
        await self._score(job, explain)
        return answers.of_row(job)

    async def _batch(self, headers: Headers, receive: Receive, explain: bool) -> bytes:
        """Answer a table: columns in JSON."""
        arrived = time.perf_counter()
        service = self._service
        served = service.answering()
        if explain:
            raise Refusal(400, TABLES_UNEXPLAINED)
        service.batcher.admit(1, is_large=True)
        parsed = parse_headers(headers)
        if parsed.media_type not in ANY_JSON:
            raise Refusal(
                415,
                f"{parsed.media_type} is not supported: send the columns as application/json, "
                '{"columns": {name: [values]}}.',
            )
        body = await self._body(receive, parsed)
        most = service.limits.max_rows
        job = await self._job_of_many(
            *(served, parsed, arrived, len(body)),
            lambda loaded: loaded.reader.columnar(body, most),
            lambda loaded: loaded.reader.columnar_in_steps(body, most),
            lambda: min(body.count(b",") // len(served.reader.columns), most),
        )
        service.batcher.admit(job.height, is_large=True)
        await self._score(job)
        return answers.of_table(job)

    async def _body(self, receive: Receive, parsed: "RequestHeaders") -> bytes:
        return await read_body(receive, parsed.length, self._service.limits.max_body, self._budget)

    def _job(
        self, served: LoadedRelease, parsed: "RequestHeaders", arrived: float, read: Read
    ) -> Job:
        service = self._service
        identity = parsed.request_id or service.identity()
        rows = read(served)
        key = parsed.key
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

    async def _job_of_many(
        self,
        served: LoadedRelease,
        parsed: "RequestHeaders",
        arrived: float,
        size: int,
        read: Read,
        steps: Callable[[LoadedRelease], Steps[Any]],
        height: Callable[[], int],
    ) -> Job:
        """Make the job of many rows; a body of more than a slice waits for its turn to be decoded.

        Args:
            served: the release that answers, unless the canary does.
            parsed: headers of the request.
            arrived: when the request did.
            size: of the body in bytes.
            read: decodes it for a release.
            steps: does so in slices.
            height: estimates the number of its rows.
        """
        if size <= SLICE:
            return self._job(served, parsed, arrived, read)
        service = self._service
        async with self._large.turn(size):
            service.batcher.admit(height(), is_large=True)
            is_busy = service.batcher.has_small
            decoded: dict[LoadedRelease, Sent] = {served: await gently(steps(served), is_busy)}
            canary = service.held.canary
            if canary is not None:
                if service.alike:
                    decoded[canary] = decoded[served]
                else:
                    with contextlib.suppress(Refusal):
                        decoded[canary] = await gently(steps(canary), is_busy)
            return self._job(served, parsed, arrived, lambda loaded: _decoded(decoded, loaded))

    async def _score(self, job: Job, explain: bool = False) -> None:
        service = self._service
        if explain:
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


class RequestHeaders(NamedTuple):
    """The headers that the service reads.

    Attributes:
        request_id: x-request-id; empty if there is none.
        key: x-key; empty if there is none.
        media_type: of the body, in lower case, without parameters.
        length: content-length in bytes; 0 if it was not sent.
    """

    request_id: str
    key: str
    media_type: str
    length: int


def parse_headers(headers: Headers) -> RequestHeaders:
    """Parse the headers of a request.

    Raises:
        Refusal: the id or the key cannot be logged.
    """
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
    """Read the body of a request.

    Args:
        receive: of ASGI.
        announced: its size in bytes, or 0.
        most: a larger one, in bytes, is refused.
        budget: for bodies that come in parts.

    Raises:
        Refusal: it is larger than `most` bytes, or there is no room for it.
        ClientDisconnect: the caller hung up before the body was complete.
    """
    if announced > most:
        raise _too_large(most)
    message = await receive()
    if message["type"] != "http.request":
        raise ClientDisconnect
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        if len(body) > most:
            raise _too_large(most)
        return body
    parts = [body]
    with budget.unfinished() as unfinished:
        unfinished.add(len(body))
        while message.get("more_body"):
            message = await receive()
            if message["type"] != "http.request":
                raise ClientDisconnect
            parts.append(message.get("body", b""))
            unfinished.add(len(parts[-1]))
            if unfinished.size > most:
                raise _too_large(most)
    return b"".join(parts)


def _decoded(decoded: Mapping[LoadedRelease, Sent], loaded: LoadedRelease) -> Sent:
    """Return the rows that were decoded for a release.

    Raises:
        Refusal: none were, as it has other columns, or began to answer meanwhile.
    """
    if loaded not in decoded:
        raise Refusal(422, f"{loaded.release.id} takes other rows.")
    return decoded[loaded]


async def gently(steps: Steps[Result], is_busy: Callable[[], bool]) -> Result:
    """Take steps with some iterations of the event loop after each, so that others are answered.

    Args:
        steps: to take.
        is_busy: whether a request waits that could be answered now.
    """
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
        for iteration in range(MAX_PAUSE):
            await asyncio.sleep(0)
            if iteration >= MIN_PAUSE and not is_busy():
                break


class LargeBodies:
    """Lets complete large bodies be decoded one after the other, and bounds their bytes."""

    def __init__(self, limit: int) -> None:
        """Allow so many bytes."""
        self._limit = limit
        self._used = 0
        self._turn = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def turn(self, size: int) -> AsyncIterator[None]:
        """Wait until it is the turn of a body of so many bytes.

        Raises:
            Refusal: too many wait.
        """
        if self._used and self._used + size > self._limit:
            raise _too_many_bodies()
        self._used += size
        try:
            async with self._turn:
                yield
        finally:
            self._used -= size


def _too_large(most: int) -> Refusal:
    return Refusal(413, f"The body is larger than {most:,} bytes. Send fewer rows at a time.")


class BodyBudget:
    """Bounds the bytes of incomplete bodies, over all requests: the oldest body gives way.

    So callers that begin with bodies and never end them are refused, and not those who come later.
    """

    def __init__(self, limit: int) -> None:
        """Allow so many bytes."""
        self._limit = limit
        self._used = 0
        self._unfinished: dict[UnfinishedBody, None] = {}

    def unfinished(self) -> "UnfinishedBody":
        """Return a context in which the running task reads a body that comes in parts."""
        return UnfinishedBody(self)

    def add(self, body: "UnfinishedBody", size: int) -> None:
        """Count a part of a body.

        Raises:
            Refusal: it is the body that has to give way.
        """
        self._unfinished[body] = None
        body.size += size
        self._used += size
        while self._used > self._limit:
            oldest = next(iter(self._unfinished))
            self.remove(oldest)
            oldest.give_way()
            if oldest is body:
                raise _too_many_bodies()

    def remove(self, body: "UnfinishedBody") -> None:
        """Count a body no longer: it is complete, or was refused."""
        if body in self._unfinished:
            del self._unfinished[body]
            self._used -= body.size


class UnfinishedBody:
    """A body that is being read; a context that turns giving way into a refusal.

    Attributes:
        size: bytes that have come.
    """

    def __init__(self, budget: BodyBudget) -> None:
        self.size = 0
        self._budget = budget
        self._task = asyncio.current_task()
        self._gave_way = False

    def add(self, size: int) -> None:
        """Count a part.

        Raises:
            Refusal: this body has to give way.
        """
        self._budget.add(self, size)

    def give_way(self) -> None:
        """Refuse it: where its task waits for the next part, that is woken."""
        if self._task is not None and self._task is not asyncio.current_task():
            self._gave_way = True
            self._task.cancel()

    def __enter__(self) -> "UnfinishedBody":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End; a cancellation by the budget is a refusal."""
        self._budget.remove(self)
        if self._gave_way and self._task is not None:
            self._task.uncancel()
            if isinstance(error, asyncio.CancelledError):
                raise _too_many_bodies() from None


def _too_many_bodies() -> Refusal:
    return Refusal(
        503,
        "Too many bodies are being sent: send faster, or fewer rows at a time.",
        retry_after=1,
    )
