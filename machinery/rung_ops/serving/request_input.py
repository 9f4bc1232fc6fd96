"""What a request brings: its body, within limits, and the names that its headers give."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

from rung_ops.serving.refusal import Refusal

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Headers = list[tuple[bytes, bytes]]

LONGEST_ID = 128
LONGEST_KEY = 1_024


class Gone(Exception):
    """The caller hung up before the request was whole."""


class Given(NamedTuple):
    """What the headers of a request say.

    Attributes:
        identity: of x-request-id; empty where there is none.
        key: of x-key; empty where there is none.
        kind: the media type of the body, in small letters, without parameters.
        length: of the body in bytes, as it was announced; 0 where it was not.
    """

    identity: str
    key: str
    kind: str
    length: int


def given(headers: Headers) -> Given:
    """Read the headers.

    Raises:
        Refusal: the id or the key is none that could be logged.
    """
    identity = key = kind = ""
    length = 0
    for name, value in headers:
        if name == b"content-length":
            length = int(value) if value.isdigit() else 0
        elif name == b"content-type":
            kind = value.decode("latin-1").partition(";")[0].strip().lower()
        elif name == b"x-request-id":
            identity = _word(value, "x-request-id", LONGEST_ID)
        elif name == b"x-key":
            key = _word(value, "x-key", LONGEST_KEY)
    return Given(identity, key, kind, length)


def _word(value: bytes, name: str, longest: int) -> str:
    word = value.decode("latin-1")
    if len(word) > longest or not (word.isascii() and word.isprintable()):
        raise Refusal(400, f"{name}: give at most {longest} printable ASCII characters.")
    return word


async def whole(receive: Receive, announced: int, most: int) -> bytes:
    """Receive a body.

    Raises:
        Refusal: it is larger than `most` bytes.
        Gone: the caller hung up.
    """
    if announced > most:
        raise _too_large(most)
    message = await receive()
    if message["type"] != "http.request":
        raise Gone
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        if len(body) > most:
            raise _too_large(most)
        return body
    parts = [body]
    size = len(body)
    while message.get("more_body"):
        message = await receive()
        if message["type"] != "http.request":
            raise Gone
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            raise _too_large(most)
        parts.append(part)
    return b"".join(parts)


def _too_large(most: int) -> Refusal:
    return Refusal(413, f"The body is larger than {most:,} bytes. Send fewer rows at a time.")
