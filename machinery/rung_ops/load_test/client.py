"""Making requests over kept-alive connections, as fast as they are answered or at a given rate."""

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

BROKEN = 0  # stands for the status of a request whose connection broke
NAMED = "load-"  # the id of every request of a test begins so, and finds its rows in a log
WAIT = 30.0  # seconds after which an answer is no longer waited for
PAUSE = 0.1  # seconds after a connection broke


@dataclass
class Answers:
    """What came back.

    Attributes:
        seconds: by status, for each answer; a rate given, from the moment at which it was due.
        unmade: requests that were due and not made, as no connection was free in time.
        elapsed: seconds of the whole test.
        busy: share of that time in which this program was computing: near 1, it is the program
            that was measured.
        said: by status, the first body other than a prediction.
    """

    seconds: dict[int, list[float]] = field(default_factory=dict)
    unmade: int = 0
    elapsed: float = 0.0
    busy: float = 0.0
    said: dict[int, str] = field(default_factory=dict)

    def add(self, status: int, seconds: float, body: bytes) -> None:
        """Take in an answer."""
        self.seconds.setdefault(status, []).append(seconds)
        if status != 200 and status not in self.said:
            self.said[status] = body[:500].decode(errors="replace")


class Connection(asyncio.Protocol):
    """One connection: a request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""

    @property
    def open(self) -> bool:
        """Whether it can take a request."""
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a request; return status and body, BROKEN where the connection broke."""
        self._answer = asyncio.get_running_loop().create_future()
        self._body = b""
        if self._transport is None:
            return BROKEN, b""
        self._transport.write(request)
        return await self._answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._done(BROKEN, str(exc or "the connection was closed").encode())

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._done(BROKEN, f"the answer is no HTTP: {error}".encode())
            self.close()

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        keep = self._parser.should_keep_alive()
        self._done(self._parser.get_status_code(), self._body)
        if not keep:
            self.close()

    def close(self) -> None:
        """Close it."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def _done(self, status: int, body: bytes) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((status, body))


class Load:
    """A test of one address with prepared requests.

    Attributes:
        name: what the id of each request begins with, in the service's log too.
    """

    def __init__(self, url: str, bodies: Sequence[bytes], rate: float | None = None) -> None:
        """Prepare.

        Args:
            url: of the service, as in http://127.0.0.1:8000.
            bodies: of the requests, taken in turn.
            rate: requests a second, whether or not the service keeps up; None for as many as it
                answers.
        """
        self._place = urlsplit(url)
        self._requests = [_request(self._place, body) for body in bodies]
        self._rate = rate
        self.name = f"{NAMED}{secrets.token_hex(4)}"
        self._numbers = itertools.count()

    async def run(self, connections: int, seconds: float) -> Answers:
        """Make requests for some seconds; each connection makes one after the other."""
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
            # Late, because no connection was free: the caller would have waited from `due` on.
            # Early, this program sleeps, and how long it oversleeps is not the service's doing.
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
                status, answer = await asyncio.wait_for(connection.ask(request), WAIT)
            except TimeoutError:
                status, answer = BROKEN, f"no answer within {WAIT:g} seconds".encode()
                connection.close()
            answers.add(status, time.perf_counter() - due, answer)
            if status == BROKEN:
                await asyncio.sleep(PAUSE)
        if connection is not None:
            connection.close()

    async def _connected(self) -> Connection | None:
        loop = asyncio.get_running_loop()
        secure = True if self._place.scheme == "https" else None
        port = self._place.port or (443 if secure else 80)
        try:
            _, connection = await loop.create_connection(
                Connection, self._place.hostname or "", port, ssl=secure
            )
        except OSError:
            return None
        return connection


def _request(place: SplitResult, body: bytes) -> tuple[bytes, bytes]:
    """Write all of a request but its id: the head before it, the body after it."""
    path = f"{place.path.rstrip('/')}/predict"
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n"
    )
    return head.encode(), body
