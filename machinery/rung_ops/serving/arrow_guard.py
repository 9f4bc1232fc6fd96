"""Look through an Arrow body before polars reads it, and refuse what is compressed.

A compressed buffer says in eight bytes how much memory it wants, and a process that does not get
it is ended at once: one body would take the service with it. What is not compressed cannot be
larger than the body.

The format: https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc,
whose messages are FlatBuffers.
"""

from collections.abc import Iterator
from struct import error as struct_error
from struct import unpack_from
from typing import Literal

Form = Literal["stream", "file"]

CONTINUED = 0xFFFFFFFF  # before the length of a message; older writers leave it out
WORD = b"ARROW1"  # at both ends of a file; before the one at the end the footer and its length
BLOCK = 24  # bytes of the place of a message in the footer

# Of the tables of Message.fbs and File.fbs: the number of a field.
HEADER_TYPE, HEADER, BODY_LENGTH = 1, 2, 3  # of Message
DICTIONARY_DATA = 1  # of DictionaryBatch
COMPRESSION = 3  # of RecordBatch
DICTIONARIES, RECORD_BATCHES = 2, 3  # of Footer
DICTIONARY_BATCH, RECORD_BATCH = 2, 3  # types of a header


class NotArrow(Exception):
    """The body is not Arrow, or is compressed; the message says which."""


def check(body: bytes, form: Form) -> None:
    """Look at every message.

    Raises:
        NotArrow: one does not hold together, or is compressed.
    """
    try:
        for position in _of_stream(body) if form == "stream" else _of_file(body):
            if _compressed(body, position):
                raise NotArrow("it is compressed; send it as it is")
    except struct_error as error:
        raise NotArrow("a part of it is beyond its end") from error


def _of_stream(body: bytes) -> Iterator[int]:
    """Find the messages of a stream, one after the other."""
    position = 0
    while position < len(body):
        size, position = _length(body, position)
        if not size:
            return
        message = _there(body, position)
        yield message
        offset = _field(body, message, BODY_LENGTH)
        following = unpack_from("<q", body, offset)[0] if offset else 0
        position += size + following
        if not 0 <= following <= len(body):
            raise NotArrow("a part of it is beyond its end")


def _of_file(body: bytes) -> Iterator[int]:
    """Find the messages of a file, which its footer names."""
    if not (body.startswith(WORD) and body.endswith(WORD)):
        raise NotArrow(f"it does not begin and end with {WORD.decode()}")
    end = len(body) - len(WORD) - 4
    footer = _there(body, end - int(unpack_from("<I", body, end)[0]))
    for kind in (DICTIONARIES, RECORD_BATCHES):
        blocks = _table(body, footer, kind)
        count = unpack_from("<I", body, blocks)[0] if blocks else 0
        for number in range(count):
            (position,) = unpack_from("<q", body, blocks + 4 + BLOCK * number)
            yield _there(body, _length(body, position)[1])


def _length(body: bytes, position: int) -> tuple[int, int]:
    """Read the length of the message at a place; return it, and where the message begins."""
    size = _number(body, position)
    return (
        (_number(body, position + 4), position + 8) if size == CONTINUED else (size, position + 4)
    )


def _compressed(body: bytes, message: int) -> bool:
    offset = _field(body, message, HEADER_TYPE)
    (kind,) = unpack_from("<B", body, offset) if offset else (0,)
    header = _table(body, message, HEADER)
    if kind == DICTIONARY_BATCH and header:
        header = _table(body, header, DICTIONARY_DATA)
    if kind not in (DICTIONARY_BATCH, RECORD_BATCH) or not header:
        return False
    return _field(body, header, COMPRESSION) != 0


def _there(body: bytes, position: int) -> int:
    """Follow the offset stored at a position."""
    return position + _number(body, position)


def _table(body: bytes, table: int, number: int) -> int:
    """Find what a field points to; 0 if there is none."""
    offset = _field(body, table, number)
    return _there(body, offset) if offset else 0


def _field(body: bytes, table: int, number: int) -> int:
    """Find a field of a table; 0 if it is left out."""
    _number(body, table)
    fields = table - int(unpack_from("<i", body, table)[0])
    at = 4 + 2 * number
    _number(body, fields)
    if at + 2 > unpack_from("<H", body, fields)[0]:
        return 0
    (offset,) = unpack_from("<H", body, fields + at)
    return table + int(offset) if offset else 0


def _number(body: bytes, position: int) -> int:
    if position < 0:  # counts from the end in Python
        raise struct_error
    return int(unpack_from("<I", body, position)[0])
