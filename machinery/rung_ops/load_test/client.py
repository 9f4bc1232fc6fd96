"""Send requests over kept-alive connections, as fast as they are answered or at a given rate."""

import asyncio
import itertools
import math
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import SplitResult, urlsplit

import httptools

from rung_ops.prediction_log import LOAD_TEST

BROKEN = 0  # status of a request whose connection broke
TIMEOUT = 30.0  # seconds
PAUSE = 0.1  # seconds after a connection broke


@dataclass
class Answers:
    """The answers to the requests of a test.

    Attributes:
        seconds: latency of each answer, by status; at a given rate, since the request was due.
        unmade: requests that were due and not sent, because no connection was free.
        elapsed: seconds of the whole test.
        busy: share of that time in which this program was computing; near 1, the test measured
            this program.
        failures: first body that is not a prediction, by status.
    """

    seconds: dict[int, list[float]] = field(default_factory=dict)
    unmade: int = 0
    elapsed: float = 0.0
    busy: float = 0.0
    failures: dict[int, str] = field(default_factory=dict)

    def add(self, status: int, seconds: float, body: bytes) -> None:
        """Add an answer."""
        self.seconds.setdefault(status, []).append(seconds)
        if status != 200 and status not in self.failures:
            self.failures[status] = body[:500].decode(errors="replace")


class Connection(asyncio.Protocol):
    """A connection that sends one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""

    @property
    def open(self) -> bool:
        """Whether it can send a request."""
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a request; return status and body, or BROKEN if the connection broke."""
        self._answer = asyncio.get_running_loop().create_future()
        self._body = b""
        if self._transport is None:
            return BROKEN, b""
        self._transport.write(request)
        return await self._answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._done(BROKEN, str(exc or "the connection was closed").encode())

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._done(BROKEN, f"the answer is not HTTP: {error}".encode())
            self.close()

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        keep = self._parser.should_keep_alive()
        self._done(self._parser.get_status_code(), self._body)
        if not keep:
            self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def _done(self, status: int, body: bytes) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((status, body))


class Load:
    """A load test of one address with prepared requests.

    Attributes:
        name: prefix of the request ids, also in the service's log.
    """

    def __init__(
        self,
        url: str,
        bodies: Sequence[bytes],
        rate: float | None = None,
        token: str | None = None,
    ) -> None:
        """Prepare the requests.

        Args:
            url: of the service, such as http://127.0.0.1:8000.
            bodies: of the requests, used in turn.
            rate: requests per second, whether or not the service keeps up; None for as many as it
                answers.
            token: that each request carries.
        """
        self._url = urlsplit(url)
        self._requests = [_request(self._url, body, token) for body in bodies]
        self._rate = rate
        self.name = f"{LOAD_TEST}{secrets.token_hex(4)}"
        self._numbers = itertools.count()

    async def run(self, connections: int, seconds: float) -> Answers:
        """Send requests for some seconds, one at a time on each connection."""
        answers = Answers()
        started, computed = time.perf_counter(), time.process_time()
        await asyncio.gather(
            *(self._work(answers, started, started + seconds) for _ in range(connections))
        )
        answers.elapsed = time.perf_counter() - started
        if self._rate:
            answers.unmade = max(0, math.ceil(self._rate * seconds) - next(self._numbers))
        answers.busy = (time.process_time() - computed) / answers.elapsed
        return answers

    async def _work(self, answers: Answers, started: float, end: float) -> None:
        connection, name = None, self.name.encode()
        while time.perf_counter() < end:
            number = next(self._numbers)
            due = started + number / self._rate if self._rate else time.perf_counter()
            if due >= end:
                break
            # If late because no connection was free, the latency counts from `due`. If early, it
            # counts from the end of the sleep, which may be longer than requested.
            early = due - time.perf_counter()
            if early > 0:
                await asyncio.sleep(early)
                due = time.perf_counter()
            if connection is None or not connection.open:
                connection = await self._connected()
            if connection is None:
                answers.add(BROKEN, time.perf_counter() - due, b"no connection could be made")
                await asyncio.sleep(PAUSE)
                continue
            head, body = self._requests[number % len(self._requests)]
            request = b"%bX-Request-Id: %b-%d\r\n\r\n%b" % (head, name, number, body)
            try:
                status, answer = await asyncio.wait_for(connection.ask(request), TIMEOUT)
            except TimeoutError:
                status, answer = BROKEN, f"no answer within {TIMEOUT:g} seconds".encode()
                connection.close()
            answers.add(status, time.perf_counter() - due, answer)
            if status == BROKEN:
                await asyncio.sleep(PAUSE)
        if connection is not None:
            connection.close()

    async def _connected(self) -> Connection | None:
        loop = asyncio.get_running_loop()
        secure = True if self._url.scheme == "https" else None
        port = self._url.port or (443 if secure else 80)
        try:
            _, connection = await loop.create_connection(
                Connection, self._url.hostname or "", port, ssl=secure
            )
        except OSError:
            return None
        return connection


def _request(url: SplitResult, body: bytes, token: str | None) -> tuple[bytes, bytes]:
    """Return the parts of a request before and after its id."""
    path = f"{url.path.rstrip('/')}/predict"
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n" + (f"Authorization: Bearer {token}\r\n" if token else "")
    )
    return head.encode(), body
