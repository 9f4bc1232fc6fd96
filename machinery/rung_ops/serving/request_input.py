"""Read a request: its headers, and its body within limits."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

from rung_ops.model.rows import Refusal
from rung_ops.serving.body_budget import BodyBudget, UnfinishedBody

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Headers = list[tuple[bytes, bytes]]

LONGEST_ID = 128
LONGEST_KEY = 1_024


class Disconnected(Exception):
    """The caller hung up before the request was complete."""


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


async def read_body(receive: Receive, announced: int, most: int, budget: BodyBudget) -> bytes:
    """Read the body of a request.

    Args:
        receive: of ASGI.
        announced: its size in bytes, or 0.
        most: a larger one, in bytes, is refused.
        budget: for bodies that come in parts.

    Raises:
        Refusal: it is larger than `most` bytes, or there is no room for it.
        Disconnected: the caller hung up.
    """
    if announced > most:
        raise _too_large(most)
    message = await receive()
    if message["type"] != "http.request":
        raise Disconnected
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        if len(body) > most:
            raise _too_large(most)
        return body
    with budget.unfinished() as unfinished:
        return await _rest(receive, body, most, unfinished)


async def _rest(receive: Receive, first: bytes, most: int, unfinished: UnfinishedBody) -> bytes:
    parts = [first]
    unfinished.add(len(first))
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise Disconnected
        part = message.get("body", b"")
        unfinished.add(len(part))
        if unfinished.size > most:
            raise _too_large(most)
        parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts)


def _too_large(most: int) -> Refusal:
    return Refusal(413, f"The body is larger than {most:,} bytes. Send fewer rows at a time.")
