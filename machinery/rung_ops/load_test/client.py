"""The service that a load test sends requests to, and the client that sends them.

A running service, or one that the test starts: with a copy of an environment's serving release and
with temporary folders, so the test does not affect prediction logs or a rollout. Requests are sent over
kept-alive connections, as fast as they are answered or at a given rate.
"""

import asyncio
import contextlib
import itertools
import math
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any, cast
from urllib.error import HTTPError
from urllib.parse import SplitResult, urlsplit
from urllib.request import urlopen

import httptools
import msgspec

from rung_ops.errors import OpsError
from rung_ops.model import released as released
from rung_ops.prediction_log import LOAD_TEST
from rung_ops.project import current, release_folders
from rung_ops.project.service_settings import limits
from rung_ops.release import state
from rung_ops.serving import access
from rung_ops.system import processes
from rung_ops.system.processes import free_port

HOST = "127.0.0.1"
READY_SECONDS = 60.0
OWN_TOKEN = secrets.token_urlsafe()  # of a service that the test starts
SHOWN = 15  # lines of output of a service that did not start


class LoadTestError(OpsError):
    """No service can be tested."""


@dataclass(frozen=True)
class Target:
    """A running service."""

    url: str  # its address, without a trailing slash
    release: str  # id of the serving release
    contract: dict[str, Any]  # of the release
    token: str | None = None  # that requests carry; None if there is none


@contextlib.contextmanager
def running(url: str) -> Iterator[Target]:
    """Read what a running service serves."""
    url = url.rstrip("/")
    try:
        with urlopen(access.authorized_request(f"{url}/model"), timeout=10) as answer:
            model = msgspec.json.decode(answer.read())
        token = access.token_for(url)
        target = Target(url, model["release"]["id"], model["contract"], token)
    except HTTPError as error:
        if error.code == 401:
            raise LoadTestError(
                f"{url} asks who calls: set {access.VARIABLE} to a token of its {access.PREDICT}."
            ) from error
        text = error.read(500).decode(errors="replace")
        raise LoadTestError(f"{url} does not serve: status {error.code}, {text}") from error
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise LoadTestError(
            f"Nothing answers at {url} ({reason}). `uv run poe serve` starts the service."
        ) from error
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise LoadTestError(f"{url} is not a prediction service: see {url}/model.") from error
    yield target


@contextlib.contextmanager
def own(environment: str) -> Iterator[Target]:
    """Start a service with the serving release of an environment, and stop it at the end."""
    folder = release_folders.environment(environment)
    release = state.read(folder).serving
    if release is None:
        raise LoadTestError(
            f"{environment} serves no release that could be tested: run "
            f"`uv run poe deploy {environment}`."
        )
    with tempfile.TemporaryDirectory(prefix="load-") as name:
        temporary = Path(name)
        model = current().root.relative_to(current().repository)
        copy = temporary / "releases" / model / environment
        try:
            copied = release_folders.bundle(copy, release)
            shutil.copytree(release_folders.bundle(folder, release), copied, symlinks=True)
            state.serve(copy, release, release_folders.person())
            # Raises at once if the release is invalid; the service would wait for another one.
            loaded = released.load(copied, release_folders.public_key().read_bytes(), limits())
        except OSError as error:
            raise LoadTestError(f"{release} of {environment} cannot be copied: {error}") from error
        with _started(temporary, environment) as url:
            yield Target(url, loaded.id, loaded.contract, OWN_TOKEN)


@contextlib.contextmanager
def _started(folder: Path, environment: str) -> Iterator[str]:
    port = free_port()
    settings = {
        **{"RELEASES": str(folder / "releases"), "LOGS": str(folder / "logs")},
        "RELEASE_KEY": str(release_folders.public_key().resolve()),
        # It asks as the real one does, which belongs to what is measured.
        access.PREDICT: f"load test:{OWN_TOKEN}",
    }
    log = folder / "service.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "rung_ops", "serve", "--environment", environment]
            + ["--host", HOST, "--port", str(port)],
            cwd=current().root,
            env=os.environ | settings,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    url = f"http://{HOST}:{port}"
    try:
        if not _ready(url, process):
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            listed = "".join(f"\n  {line}" for line in lines[-SHOWN:])
            raise LoadTestError(f"The service did not become ready. Its output:{listed}")
        yield url
    finally:
        processes.stop(process, 10)


def _ready(url: str, process: subprocess.Popen[bytes]) -> bool:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError, HTTPException):
            with urlopen(f"{url}/health/ready", timeout=5):
                return True
        time.sleep(0.05)
    return False


BROKEN = 0  # status of a request whose connection broke
TIMEOUT = 30.0  # seconds
PAUSE = 0.1  # seconds after a connection broke


@dataclass
class Answers:
    """The answers to the requests of a test."""

    # Latency of each answer, by status; at a given rate, since the request was due.
    seconds: dict[int, list[float]] = field(default_factory=dict)
    unmade: int = 0  # requests that were due and not sent, because no connection was free
    elapsed: float = 0.0  # seconds of the whole test
    # Share of that time in which this program was computing; near 1, the test measured this program
    busy: float = 0.0
    # First body that is not a prediction, by status.
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
    """A load test of one address with prepared requests."""

    def __init__(
        self, url: str, bodies: Sequence[bytes], rate: float | None = None, token: str | None = None
    ) -> None:
        self._url = urlsplit(url)
        self._requests = [_request(self._url, body, token) for body in bodies]
        self._rate = rate
        # Prefix of the request ids, also in the service's log.
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
