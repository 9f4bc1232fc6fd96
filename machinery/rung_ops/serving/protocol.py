"""uvicorn's HTTP protocol within bounds: sizes and deadlines that it has no settings for.

httptools joins the pieces of a header again with each piece, so one endless header takes quadratic
time and all memory. uvicorn waits for a request for ever once its first byte is there, and for a
caller that does not read its answer.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from rung_ops.model.rows import Problem
from rung_ops.project.service_settings import Limits
from rung_ops.serving.connections import Connections

MAX_HEAD = 64_000  # bytes of the request line with all headers; also of trailers
MAX_HEADERS = 200
FLUSH_SECONDS = 5.0  # for what is still to be sent when a connection is closed

# How soon a connection gives way to a new one: first those that look like an attack.
NEVER_ASKED, STALLED, BETWEEN_REQUESTS, SENDING = range(4)
STALLED_SECONDS = 1.0  # after the headers, without the end of the body


class BoundedProtocol(HttpToolsProtocol):
    """One connection, with bounds on what it sends and on how long it takes."""

    def __init__(self, *arguments: Any, limits: Limits, bounds: Connections, **named: Any) -> None:
        """Wait for a connection.

        Args:
            arguments: as HttpToolsProtocol takes them.
            limits: of the service.
            bounds: the open connections of the process.
            named: as HttpToolsProtocol takes them.
        """
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
        """Take the connection in; an old one may have to go for it."""
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
        """Give the parser at most so much at once that it cannot pass the bound by far."""
        while data and not self._is_refused and not self.transport.is_closing():
            room = MAX_HEAD - self._unparsed
            part, data = data[:room], data[room:]
            self._unparsed += len(part)
            super().data_received(part)
            if self._unparsed >= MAX_HEAD or self._has_too_many_headers:
                self._refuse_head()
        self._set_deadline()

    def pause_writing(self) -> None:
        """Wait for a caller that does not read its answer, but not for ever."""
        super().pause_writing()
        self._write_deadline = self.loop.call_later(
            self._limits.body_seconds, self._end, "write_time", self.transport.abort
        )

    def resume_writing(self) -> None:
        """Go on writing."""
        if self._write_deadline is not None:
            self._write_deadline.cancel()
            self._write_deadline = None
        super().resume_writing()

    # What the parser calls

    def on_message_begin(self) -> None:
        """Take the first byte of a request in."""
        self._is_in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header in, unless there are too many or it follows the body."""
        if self._is_in_body:
            return  # a trailer: ignored
        if len(self.headers) >= MAX_HEADERS:
            self._has_too_many_headers = True
        else:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin with a request."""
        if self._has_too_many_headers:
            self._refuse_head()
        if not self._is_refused:
            self._unparsed = 0
            self._is_in_head, self._is_in_body = False, True
            self._head_ended = self.loop.time()
            self._clear_deadline()
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body in."""
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

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection, also where the last answer was not read to its end."""
        self.drop()

    # What Connections calls

    def precedence(self) -> int | None:
        """Say how soon it gives way to a new connection."""
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
        """Tell whether the next answer that the caller expects is that to the present request."""
        if self.pipeline:
            return False
        if self._is_in_body:
            return not self.cycle.response_started
        return self.cycle is None or self.cycle.response_complete

    def _end(self, reason: str, end: Callable[[], None]) -> None:
        self._bounds.count(reason)
        end()


def _answer(status: int, message: str, retry_after: int | None) -> bytes:
    body = msgspec.json.encode(Problem(message))
    lines = [b"content-type: application/json", b"content-length: %d" % len(body)]
    if retry_after is not None:
        lines.append(b"retry-after: %d" % retry_after)
    return STATUS_LINE[status] + b"\r\n".join([*lines, b"connection: close", b"", body])
