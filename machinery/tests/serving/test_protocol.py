"""Callers that send too much, too slowly or not at all are ended, and the others are answered."""

import asyncio
import contextlib
import json
import re
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn

from machinery.tests.conftest import Patch
from machinery.tests.serving.calls import soon
from rung_ops.errors import OpsError
from rung_ops.project.service_settings import Limits
from rung_ops.serving import server
from rung_ops.serving.metrics import Metrics
from rung_ops.serving.server import MAX_HEADERS, BoundedProtocol, Connections

PATIENCE = 30  # seconds for what takes milliseconds
LATE = 0.3
HEALTH = b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n"
POST = b"POST /predict HTTP/1.1\r\nhost: a\r\n"


async def sizes(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the size of the body; /large answers more than a socket holds."""
    body = b""
    more = scope["method"] == "POST"
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return
        body += message.get("body", b"")
        more = message.get("more_body", False)
    content = b"x" * 50_000_000 if scope["path"] == "/large" else b"%d" % len(body)
    headers = [(b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


class Bounded:
    """A server with bounds, in a separate thread."""

    def __init__(self, limits: Limits, most: int = 100, app: Any = sizes) -> None:
        self.ended: Counter[str] = Counter()
        bounds = Connections(most, lambda reason: self.ended.update([reason]))
        self.server = uvicorn.Server(
            uvicorn.Config(
                app,
                port=0,
                http=partial(BoundedProtocol, limits=limits, bounds=bounds),  # type: ignore[arg-type]
                lifespan="off",
                log_config=None,
            )
        )
        self.bounds = bounds
        self.thread = threading.Thread(target=self.server.run, daemon=True)

    def __enter__(self) -> "Bounded":
        self.thread.start()
        soon(lambda: self.server.started)
        self.port = self.server.servers[0].sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = self.server.force_exit = True
        self.thread.join(PATIENCE)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)

    def healthy(self) -> bool:
        """Tell whether somebody who comes now is answered."""
        with self.connect() as opened:
            return status(ask(opened, HEALTH)) == 200


def ask(opened: socket.socket, content: bytes) -> bytes:
    """Send something; return one answer, in as many pieces as it comes, or what came until the end."""
    opened.sendall(content)
    received = b""
    while not is_whole(received) and (part := opened.recv(65_536)):
        received += part
    return received


def is_whole(answer: bytes) -> bool:
    """Say whether an answer has all the bytes that its head announces."""
    head, ends, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    return bool(ends) and len(body) >= (int(length[1]) if length else 0)


def until_the_end(opened: socket.socket) -> bytes:
    """Read until the server closes the connection."""
    received = b""
    try:
        while part := opened.recv(1 << 20):
            received += part
    except ConnectionResetError:
        pass
    return received


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def reason(answer: bytes) -> str:
    return str(json.loads(answer.partition(b"\r\n\r\n")[2])["error"])


def send_all(opened: socket.socket, pieces: Iterator[bytes] | list[bytes]) -> bytes:
    """Send pieces until the server has had enough; return what it answered."""
    try:
        for piece in pieces:
            opened.sendall(piece)
    except (BrokenPipeError, ConnectionResetError):
        pass
    return until_the_end(opened)


@pytest.fixture
def bounded() -> Iterator[Bounded]:
    """A server with the usual limits."""
    with Bounded(Limits()) as made:
        yield made


@pytest.fixture
def hurried() -> Iterator[Bounded]:
    """A server that never waits."""
    with Bounded(Limits(head_seconds=LATE, body_seconds=LATE)) as made:
        yield made


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"GET /health HTTP/1.1\r\na: " + b"x" * 2_000_000, id="one header"),
        pytest.param(b"GET /health HTTP/1.1\r\n" + b"a: b\r\n" * 100_000, id="many headers"),
        pytest.param(b"GET /" + b"x" * 2_000_000, id="the address"),
        pytest.param(b"\r\n" * 100_000, id="empty lines"),
        pytest.param(
            b"GET /health HTTP/1.1\r\n" + b"a: b\r\n" * (MAX_HEADERS + 1) + b"\r\n",
            id="one header too many",
        ),
        pytest.param(
            POST + b"transfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n" + b"a: b\r\n" * 100_000,
            id="trailers",
        ),
        pytest.param(
            POST + b"transfer-encoding: chunked\r\n\r\n1;" + b"x" * 2_000_000, id="chunk extension"
        ),
    ],
)
def test_a_head_that_is_too_large_is_refused_and_the_connection_closed(
    bounded: Bounded, head: bytes
) -> None:
    with bounded.connect() as opened:
        answer = send_all(opened, [head])

    # A caller that goes on sending may see the end of the connection only.
    if answer:
        assert status(answer) == 431 and b"connection: close" in answer
        assert reason(answer) == "The headers are larger than 64,000 bytes or more than 200."
    assert bounded.ended["head_size"] == 1
    soon(lambda: len(bounded.bounds) == 0)
    assert bounded.healthy()


@pytest.mark.parametrize("before", [b"", HEALTH, POST + b"content-length: 1\r\n\r\nx"])
def test_what_is_not_http_is_refused_as_itself(bounded: Bounded, before: bytes) -> None:
    """uvicorn's text would be taken for the answer to the request before it, which is under way."""
    with bounded.connect() as opened:
        answer = send_all(opened, [before + b"NOT HTTP\r\n\r\n"])

    if before:
        assert answer == b""
    else:
        assert status(answer) == 400
        assert reason(answer) == "Invalid HTTP request received."
    assert bounded.healthy()


def test_a_head_within_bounds_is_answered_in_any_number_of_pieces(bounded: Bounded) -> None:
    head = b"GET /health HTTP/1.1\r\na: " + b"x" * 60_000 + b"\r\n\r\n"
    with bounded.connect() as opened:
        for start in range(0, len(head), 7_000):
            opened.sendall(head[start : start + 7_000])
        assert status(opened.recv(65_536)) == 200
        assert status(ask(opened, head)) == 200  # and once more: the count restarts


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_large_body_in_one_piece_is_read_to_its_end(bounded: Bounded, is_chunked: bool) -> None:
    body = b"x" * 3_000_000
    if is_chunked:
        sent = POST + b"transfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    else:
        sent = POST + b"content-length: %d\r\n\r\n%s" % (len(body), body)
    with bounded.connect() as opened:
        assert ask(opened, sent).endswith(b"\r\n\r\n3000000")


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param(b"", "head_time", id="nothing"),
        pytest.param(b"\r\n", "head_time", id="an empty line"),
        pytest.param(b"GET /health HT", "head_time", id="half of a head"),
        pytest.param(POST + b"content-length: 9\r\n\r\nhalf", "body_time", id="half of a body"),
        pytest.param(POST + b"content-length: 9\r\n\r\n", "body_time", id="no body"),
        pytest.param(
            POST + b"transfer-encoding: chunked\r\n\r\n1\r\nx\r\n",
            "body_time",
            id="half of the chunks",
        ),
        pytest.param(HEALTH + b"GET /health HT", "head_time", id="half of a second head"),
    ],
)
def test_who_does_not_go_on_is_ended(hurried: Bounded, sent: bytes, expected: str) -> None:
    with hurried.connect() as opened:
        opened.sendall(sent)
        answer = until_the_end(opened)

    assert hurried.ended[expected] == 1
    last = answer.rpartition(b"HTTP/1.1")[2]
    if sent.strip():
        assert last.startswith(b" 408")
    soon(lambda: len(hurried.bounds) == 0)


def test_a_byte_now_and_then_does_not_prolong_the_time(hurried: Bounded) -> None:
    def slowly() -> Iterator[bytes]:
        yield POST + b"content-length: 1000000\r\n\r\n"
        for _ in range(PATIENCE * 20):
            threading.Event().wait(LATE / 6)
            yield b"x"

    with hurried.connect() as opened:
        send_all(opened, slowly())

    assert hurried.ended["body_time"] == 1


def test_an_answer_that_takes_long_is_waited_for() -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(4 * LATE)
        await sizes(scope, receive, send)

    with Bounded(Limits(head_seconds=LATE, body_seconds=LATE), app=slow) as made:
        with made.connect() as opened:
            assert status(ask(opened, POST + b"content-length: 1\r\n\r\nx")) == 200
    assert not made.ended


def test_who_does_not_read_the_answer_is_ended(hurried: Bounded) -> None:
    with hurried.connect() as opened:
        opened.sendall(HEALTH.replace(b"/health", b"/large"))
        soon(lambda: hurried.ended["write_time"] == 1)
    soon(lambda: len(hurried.bounds) == 0)


def test_idle_connections_give_way_to_new_ones() -> None:
    with Bounded(Limits(), most=20) as made:
        idle = [made.connect() for _ in range(100)]
        soon(lambda: made.ended["connections"] == 80)

        assert all(made.healthy() for _ in range(30))
        assert len(made.bounds) <= 20
        for each in idle:
            each.close()


def test_bodies_that_do_not_end_give_way_too_and_idle_callers_before_them() -> None:
    with Bounded(Limits(), most=10) as made:
        request = made.connect()
        assert status(ask(request, HEALTH)) == 200
        unfinished = [made.connect() for _ in range(30)]
        for each in unfinished:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                each.sendall(POST + b"content-length: 9\r\n\r\nhalf")

        assert all(made.healthy() for _ in range(30))
        assert len(made.bounds) <= 10


def test_where_all_are_being_answered_a_new_one_is_refused() -> None:
    release = threading.Event()

    async def busy(scope: Any, receive: Any, send: Any) -> None:
        while not release.is_set():
            await asyncio.sleep(0.01)
        await sizes(scope, receive, send)

    with Bounded(Limits(), most=3, app=busy) as made:
        working = [made.connect() for _ in range(3)]
        for each in working:
            each.sendall(HEALTH)
        soon(lambda: len(made.server.server_state.tasks) == 3)
        with made.connect() as opened:
            answer = until_the_end(opened)
        assert (status(answer), b"retry-after: 5" in answer) == (503, True)

        release.set()
        assert [status(each.recv(65_536)) for each in working] == [200] * 3


def test_so_many_connections_are_taken_as_there_are_descriptors(monkeypatch: Patch) -> None:
    import resource

    set_to: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: set_to.append(limits))
    reserved = server.BACKLOG + server.OTHER_FILES
    for soft, hard, expected in (
        (256, 256, 256 - reserved),
        (256, 4096, 1000),
        (4096, 4096, 1000),
        (64, 64, 1),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 1000),
    ):
        monkeypatch.setattr(resource, "getrlimit", lambda _, result=(soft, hard): result)
        assert server.affordable(1000) == expected
    assert (1000 + reserved, 4096) in set_to


def test_a_uvicorn_with_another_interface_is_refused_at_the_start(monkeypatch: Patch) -> None:
    service: Any = SimpleNamespace(limits=Limits(), metrics=Metrics())
    made = server.Server(service, sizes, "127.0.0.1", 0)
    made.config.load()
    made.lifespan = SimpleNamespace(state={})  # type: ignore[assignment]
    monkeypatch.delattr(server.HttpToolsProtocol, "on_body")

    with pytest.raises(OpsError, match=r"uvicorn .* cannot be used: .* lacks \(on_body\)"):
        asyncio.run(made.startup())
