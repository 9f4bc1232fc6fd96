"""The web server around the service: connections within bounds, and an end that loses no request.

uvicorn has no settings for most of these bounds. httptools joins the pieces of a header again with
each piece, so one endless header takes quadratic time and all memory; uvicorn waits forever for a
request once its first byte has arrived, and for a caller that does not read its answer. So
BoundedProtocol derives from uvicorn's HttpToolsProtocol, which is not a public interface: only this
module does so, pyproject.toml bounds uvicorn's version, and a start with another interface fails with
a reason. Looked at in November 2026: uvicorn refuses such settings (its issue 157, pull request 1684);
granian has a deadline for headers and none for bodies (its issue 728), and its limit of connections
refuses health checks, too; hypercorn reads with h11, in Python.
"""

import asyncio
import errno
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from types import FrameType
from typing import Any

import msgspec
import uvicorn

from rung_ops.errors import OpsError
from rung_ops.model.rows import Problem
from rung_ops.project.service_settings import Limits
from rung_ops.serving.access import Asgi
from rung_ops.serving.service import Service

try:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
except ImportError as error:
    raise OpsError(
        f"uvicorn {uvicorn.__version__} has no HttpToolsProtocol, with which the service bounds "
        f"connections ({error}).",
        "Install the version of uv.lock: `uv sync`.",
    ) from error

LOG = logging.getLogger("service")

# Seconds for which an idle connection stays open: longer than load balancers keep theirs (60), so
# that it is never closed under a request that is on its way.
KEEP_ALIVE = 75
# Seconds that remain after draining for requests on their way: some callers send slowly.
FINISH = 5
# Seconds within which a second signal is the first one: at Ctrl-C the terminal tells all processes
# of `uv run poe serve`, and those above this one pass it on.
SAME_SIGNAL = 1.0
MAX_HEAD = 64_000  # bytes of the request line with all headers; also of trailers
MAX_HEADERS = 200
FLUSH_SECONDS = 5.0  # for what is still to be sent when a connection is closed

# How soon a connection gives way to a new one: first those that look like an attack.
NEVER_ASKED, STALLED, BETWEEN_REQUESTS, SENDING = range(4)
STALLED_SECONDS = 1.0  # after the headers, without the end of the body
BACKLOG = 100  # connections that the kernel keeps until they are accepted, all of them at once
OTHER_FILES = 60  # descriptors that releases, logs and sockets of the process itself need

# What BoundedProtocol uses of HttpToolsProtocol.
INTERFACE = (
    *("connection_made", "connection_lost", "data_received", "pause_writing", "resume_writing"),
    *("on_message_begin", "on_header", "on_headers_complete", "on_body", "on_message_complete"),
    *("timeout_keep_alive_handler", "send_400_response"),
    *("transport", "loop", "headers", "cycle", "pipeline"),
)


class Server(uvicorn.Server):
    """Runs until a stop signal, drains, and ends with exit code 0."""

    def __init__(self, service: Service, app: Asgi, host: str, port: int) -> None:
        limits = service.limits
        most = affordable(limits.max_connections)
        if most < limits.max_connections:
            LOG.warning(
                "The limit of open files (`ulimit -n`) allows %d connections, and max_connections in "
                "ops/service.toml is %d.",
                most,
                limits.max_connections,
            )
        bounds = Connections(most, service.metrics.count_ended)
        super().__init__(
            uvicorn.Config(
                app,
                host,
                port,
                loop="auto",  # uvloop, where there is one
                http=partial(BoundedProtocol, limits=limits, bounds=bounds),  # type: ignore[arg-type]
                ws="none",
                lifespan="on",
                access_log=False,
                log_config=None,
                log_level="warning",
                server_header=False,
                proxy_headers=False,
                # Not limit_concurrency: it refuses health checks, too, and idle connections stay.
                backlog=BACKLOG,
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=FINISH,
            )
        )
        self._service = service
        self._loop: asyncio.AbstractEventLoop | None = None
        self._signalled: float | None = None

    def serve_until_stopped(self, shared: socket.socket | None = None) -> int:
        """Serve, on a socket that is shared or one of its own.

        Returns:
            The exit code: 0 after a signal, 1 if it could not start.
        """
        try:
            self.run([shared] if shared is not None else None)
        except SystemExit as ended:  # uvicorn has said why
            if getattr(ended.__context__, "errno", None) == errno.EADDRINUSE:
                other = self.config.port + 1
                LOG.error("Stop what listens there, or choose another port: `--port %d`.", other)
            return 1
        return 0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen."""
        self._require_interface()
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        LOG.info(
            "Serving %s on http://%s:%d, process %s",
            self._service.environment,
            self.config.host,
            self.servers[0].sockets[0].getsockname()[1],
            os.getpid(),
        )

    def _require_interface(self) -> None:
        """Check that uvicorn has what BoundedProtocol uses, before a connection needs it."""
        try:
            protocol = HttpToolsProtocol(
                config=self.config, server_state=self.server_state, app_state=self.lifespan.state
            )
        except TypeError as error:
            missing = str(error)
        else:
            missing = ", ".join(name for name in INTERFACE if not hasattr(protocol, name))
        if missing:
            raise OpsError(
                f"uvicorn {uvicorn.__version__} cannot be used: the service bounds connections with "
                f"parts of HttpToolsProtocol that it lacks ({missing}).",
                "Install the version of uv.lock: `uv sync`.",
            )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain on the first signal, and end at once on the second one."""
        if self._loop is None:
            self.should_exit = True
        elif self._signalled is None:
            self._signalled = time.monotonic()
            self._loop.call_soon_threadsafe(self._drain, signal.Signals(sig).name)
        elif time.monotonic() - self._signalled > SAME_SIGNAL:
            self.force_exit = self.should_exit = True

    def _drain(self, name: str) -> None:
        if self._service.draining or self._loop is None:
            return
        seconds = self._service.limits.drain_seconds
        LOG.info("%s: no longer ready, and gone in %g s", name, seconds)
        self._service.drain()
        self._loop.call_later(seconds, self._end)

    def _end(self) -> None:
        self.should_exit = True


def affordable(wanted: int) -> int:
    """Raise the limit of open files as far as needed; return how many connections fit under it."""
    if sys.platform == "win32":
        return wanted
    import resource

    needed = wanted + BACKLOG + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        soft = max(soft, raised)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, soft - BACKLOG - OTHER_FILES))


class Connections:
    """The open connections of a process, the oldest first.

    A new one is always accepted as long as an old one can give way: a caller that holds many
    connections without using them then loses its own, and others are answered.
    """

    def __init__(self, limit: int, count: Callable[[str], None]) -> None:
        self.limit = limit
        self.count = count
        self._open: dict[BoundedProtocol, None] = {}

    def __len__(self) -> int:
        """Count the open connections."""
        return len(self._open)

    def add(self, new: "BoundedProtocol") -> bool:
        """Add a connection; return False if there is no room for it."""
        if len(self._open) >= self.limit:
            self.count("connections")
            oldest = self._first_to_go()
            if oldest is None:
                return False
            del self._open[oldest]
            oldest.drop()
        self._open[new] = None
        return True

    def remove(self, closed: "BoundedProtocol") -> None:
        """Forget a connection that was closed."""
        self._open.pop(closed, None)

    def _first_to_go(self) -> "BoundedProtocol | None":
        chosen, least = None, SENDING + 1
        for connection in self._open:
            precedence = connection.precedence()
            if precedence is not None and precedence < least:
                chosen, least = connection, precedence
                if precedence == NEVER_ASKED:
                    break
        return chosen


class BoundedProtocol(HttpToolsProtocol):
    """One connection, with bounds on what it sends and on how long it takes."""

    def __init__(self, *arguments: Any, limits: Limits, bounds: Connections, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._limits = limits
        self._bounds = bounds
        # Bytes that the parser took without completing a head or giving a part of a body.
        self._unparsed = 0
        self._is_in_head = False
        self._is_in_body = False
        self._head_ended = 0.0
        self._has_too_many_headers = False
        self._is_refused = False
        self._deadline: asyncio.TimerHandle | None = None
        self._write_deadline: asyncio.TimerHandle | None = None

    # What asyncio calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept the connection; an old one may have to give way."""
        super().connection_made(transport)
        if self._bounds.add(self):
            self._expect(self._limits.head_seconds, self._head_is_late)
        else:
            self._refuse(503, "Too many connections.", retry_after=5)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._bounds.remove(self)
        self._clear_deadline()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse in parts, so that the head cannot become much larger than its bound."""
        while data and not self._is_refused and not self.transport.is_closing():
            room = MAX_HEAD - self._unparsed
            part, data = data[:room], data[room:]
            self._unparsed += len(part)
            super().data_received(part)
            if self._unparsed >= MAX_HEAD or self._has_too_many_headers:
                self._refuse_head()
        self._set_deadline()

    def pause_writing(self) -> None:
        """Wait for a caller that does not read its answer, but not forever."""
        super().pause_writing()
        self._write_deadline = self.loop.call_later(self._limits.body_seconds, self._write_is_late)

    def resume_writing(self) -> None:
        """Continue to write."""
        if self._write_deadline is not None:
            self._write_deadline.cancel()
            self._write_deadline = None
        super().resume_writing()

    # What the parser calls

    def on_message_begin(self) -> None:
        """Note the first byte of a request."""
        self._is_in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header, unless there are too many or it follows the body."""
        if self._is_in_body:
            return  # a trailer: ignored
        if len(self.headers) >= MAX_HEADERS:
            self._has_too_many_headers = True
        else:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the request; its body follows."""
        if self._has_too_many_headers:
            self._refuse_head()
        if not self._is_refused:
            self._unparsed = 0
            self._is_in_head, self._is_in_body = False, True
            self._head_ended = self.loop.time()
            self._clear_deadline()
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Add a part of the body."""
        self._unparsed = 0
        if not self._is_refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait for the next request."""
        self._unparsed = 0
        self._is_in_body = False
        self._clear_deadline()
        if not self._is_refused:
            super().on_message_complete()

    # What uvicorn calls

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP; uvicorn would write this in the place of an earlier answer."""
        self._refuse(400, msg)

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection, also where the last answer was not read to its end."""
        self.drop()

    # What Connections calls

    def precedence(self) -> int | None:
        """Return how soon it gives way to a new connection."""
        if self._is_in_body:
            since = self.loop.time() - self._head_ended
            return STALLED if since > STALLED_SECONDS else SENDING
        if self.cycle is None:
            return NEVER_ASKED
        return BETWEEN_REQUESTS if self.cycle.response_complete else None

    def drop(self) -> None:
        """Close it; what was written is still sent, if the caller reads it soon."""
        self._bounds.remove(self)
        self._clear_deadline()
        if not self.transport.is_closing():
            self.transport.close()
            self.loop.call_later(FLUSH_SECONDS, self.transport.abort)

    # Deadlines: none for a request that came in one piece

    def _set_deadline(self) -> None:
        if self._is_refused or self.transport.is_closing():
            return
        if self._is_in_body:
            # From the end of the head on, however many parts come.
            self._expect(self._limits.body_seconds, self._body_is_late)
        elif self._is_in_head or self._unparsed:
            self._expect(self._limits.head_seconds, self._head_is_late)
        else:
            self._clear_deadline()

    def _expect(self, seconds: float, late: Callable[[], None]) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(seconds, late)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _head_is_late(self) -> None:
        self._bounds.count("head_time")
        if self._is_in_head:
            seconds = self._limits.head_seconds
            self._refuse(408, f"The headers did not come within {seconds:g} s.")
        else:  # it never began a request, so it expects no answer
            self.drop()

    def _body_is_late(self) -> None:
        self._bounds.count("body_time")
        self._refuse(408, f"The body did not come within {self._limits.body_seconds:g} s.")

    def _write_is_late(self) -> None:
        self._bounds.count("write_time")
        self.transport.abort()

    # The end of a connection

    def _refuse_head(self) -> None:
        if self._is_refused:
            return
        self._bounds.count("head_size")
        self._refuse(
            431, f"The headers are larger than {MAX_HEAD:,} bytes or more than {MAX_HEADERS}."
        )

    def _refuse(self, status: int, message: str, retry_after: int | None = None) -> None:
        """Answer where no other answer is under way, and close the connection."""
        self._is_refused = True
        if self._can_answer() and not self.transport.is_closing():
            self.transport.write(_answer(status, message, retry_after))
        self.drop()

    def _can_answer(self) -> bool:
        """Return whether the next answer that the caller expects is that to the present request."""
        if self.pipeline:
            return False
        if self._is_in_body:
            return not self.cycle.response_started
        return self.cycle is None or self.cycle.response_complete


def _answer(status: int, message: str, retry_after: int | None) -> bytes:
    body = msgspec.json.encode(Problem(message))
    lines = [b"content-type: application/json", b"content-length: %d" % len(body)]
    if retry_after is not None:
        lines.append(b"retry-after: %d" % retry_after)
    first = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()
    return b"\r\n".join([first, *lines, b"connection: close", b"", body])
