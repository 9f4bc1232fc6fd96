"""Requests to a service from one thread, as fast as it answers."""

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

# In place of a status: the connection broke before the answer, or there was no connection.
RESET, UNREACHED = 0, -1


@dataclass
class Reply:
    """What became of one request.

    Attributes:
        number: of its body, in the order in which they were handed over.
        due: when it was to be sent, by time.perf_counter().
        seconds: from then to the end of its answer.
        status: of the answer, RESET or UNREACHED.
    """

    number: int
    due: float
    seconds: float = 0.0
    status: int = UNREACHED
    head: bytes = b""
    body: bytes = b""

    @property
    def json(self) -> Any:
        """Read the answer."""
        return json.loads(self.body)


def request(port: int, path: str, body: bytes, *headers: str) -> bytes:
    """Write a POST request."""
    named = {line.partition(":")[0].lower() for line in headers}
    kind = [] if "content-type" in named else ["content-type: application/json"]
    first = (f"POST {path} HTTP/1.1", f"host: 127.0.0.1:{port}", f"content-length: {len(body)}")
    return "\r\n".join([*first, *kind, *headers, "", ""]).encode() + body


class _Connection(asyncio.Protocol):
    """A connection that carries one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.answer: asyncio.Future[tuple[int, bytes, bytes]] | None = None
        self.received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self.answer and not self.answer.done():
            self.answer.set_result((RESET, b"", b""))

    def data_received(self, data: bytes) -> None:
        self.received += data
        end = self.received.find(b"\r\n\r\n")
        if end < 0 or not self.answer or self.answer.done():
            return
        head = bytes(self.received[:end]).lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self.received) >= end + 4 + length:
            body = bytes(self.received[end + 4 : end + 4 + length])
            del self.received[: end + 4 + length]
            self.answer.set_result((int(head[9:12]), head, body))

    async def ask(self, sent: bytes) -> tuple[int, bytes, bytes]:
        """Send a request and wait for its answer: status, head, body."""
        if self.transport is None:
            return RESET, b"", b""
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(sent)
        return await self.answer


@dataclass
class _Pool:
    """Connections to a port, opened as they are needed."""

    port: int
    idle: list[_Connection] = field(default_factory=list)

    async def ask(self, reply: Reply, sent: bytes) -> Reply:
        """Send on an idle connection, and note the answer."""
        connection = await self._connection()
        if connection:
            reply.status, reply.head, reply.body = await connection.ask(sent)
        reply.seconds = time.perf_counter() - reply.due
        if connection and connection.transport and b"connection: close" not in reply.head:
            self.idle.append(connection)
        elif connection and connection.transport:
            connection.transport.close()
        return reply

    async def _connection(self) -> _Connection | None:
        while self.idle:
            if (connection := self.idle.pop()).transport:
                return connection
        loop = asyncio.get_running_loop()
        try:
            return (await loop.create_connection(_Connection, "127.0.0.1", self.port))[1]
        except OSError:
            return None

    def close(self) -> None:
        """Close what is open."""
        for connection in self.idle:
            if connection.transport:
                connection.transport.close()


Bodies = Sequence[bytes]


async def closed_loop(
    port: int, requests: Bodies, connections: int, stop: Callable[[], bool]
) -> list[Reply]:
    """Send the next request on each connection as soon as the last one was answered."""
    pool, numbers = _Pool(port), itertools.count()
    replies: list[Reply] = []

    async def caller() -> None:
        while not stop():
            number = next(numbers)
            reply = Reply(number % len(requests), time.perf_counter())
            replies.append(await pool.ask(reply, requests[reply.number]))
            if reply.status in (RESET, UNREACHED):
                await asyncio.sleep(0.01)

    await asyncio.gather(*(caller() for _ in range(connections)))
    pool.close()
    return replies


async def during(
    traffic: Callable[[Callable[[], bool]], Coroutine[Any, Any, list[Reply]]],
    work: Callable[[], Any],
) -> tuple[list[Reply], Any]:
    """Send while something is done in a thread; return the replies and what came of it."""
    done = asyncio.Event()
    sending = asyncio.create_task(traffic(done.is_set))
    try:
        made = await asyncio.to_thread(work)
    finally:
        done.set()
        replies = await sending
    return replies, made
