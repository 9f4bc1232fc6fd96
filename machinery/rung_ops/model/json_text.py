"""JSON of requests: arrays that are decoded in slices, and objects in which a key occurs twice.

msgspec decodes a whole text at once and holds the interpreter's lock meanwhile, so a thread would
not help: what is to be answered beside a large body waits for it. And of two equal keys it takes the
last, where another reader of the same text may take the first.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

SLICE = 65_536  # bytes that are decoded at once: half a millisecond

# What is between two values of an array, unless it is part of a text or of a nested value.
BETWEEN_OBJECTS = re.compile(rb"\}\s*,(?=\s*\{)")
BETWEEN_TEXTS = re.compile(rb'(?:[^\\]"|null)\s*,')
BETWEEN_NUMBERS = re.compile(rb",")

_OPENING = re.compile(rb"[ \t\r\n]*\[")
# The texts of what an object or an array holds, which cost a tenth of decoding them.
raw_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
raw_values = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Slices:
    """A JSON array, decoded slice by slice: gives the values of each.

    A slice ends where two values seem to meet. Where that was inside of a text or a nested value, a
    slice of eight times its size is tried, and the try that failed gives no values.

    Attributes:
        text: the present slice, as an array.
        start: byte of the whole text with which its first value begins.
        count: values before it.
    """

    def __init__(
        self, text: bytes, between: re.Pattern[bytes], decode: Callable[[bytes], list[Any]]
    ) -> None:
        self._whole = text
        self._between = between
        self._decode = decode
        self.text = text
        self.start = 1
        self.count = 0

    def __iter__(self) -> Iterator[list[Any]]:
        """Decode slice by slice; raises whatever the decoder raises."""
        whole = self._whole
        opening = _OPENING.match(whole)
        if opening is None:
            yield self._decode(whole)
            return
        self.start, size = opening.end(), SLICE
        while True:
            comma = self._between.search(whole, self.start + size)
            end = comma.end() - 1 if comma else len(whole)
            if comma is None and not self.count:
                self.start, self.text = 1, whole  # which saves a copy
            else:
                self.text = b"".join([b"[", whole[self.start : end], b"]" if comma else b""])
            try:
                values = self._decode(self.text)
            except msgspec.ValidationError:
                raise
            except msgspec.DecodeError:
                if comma is None:
                    raise
                size *= 8
                yield []
                continue
            if not values and self.count:
                raise msgspec.DecodeError("JSON is malformed: trailing comma in array (byte 1)")
            yield values
            if comma is None:
                return
            self.count += len(values)
            self.start, size = end + 1, SLICE


def has_more_keys(text: bytes, members: Mapping[str, Any], others: int = 0) -> bool:
    """Tell whether a text may have keys that are none of those decoded from it.

    Args:
        text: of the object.
        members: its values by key, as msgspec.Raw.
        others: number of further keys that it may have, such as that of an object around it.
    """
    # Each key takes two quotation marks, unless it has some itself, which may be written in two ways.
    known = 2 * (len(members) + others) + b"".join(members.values()).count(b'"')
    return text.count(b'"') > known or '"' in "".join(members)


def repeated_key(text: bytes) -> str | None:
    """Return a key that a JSON object has twice; None if it has none.

    Raises:
        ValueError, RecursionError: msgspec takes the text, and Python does not.
    """
    if not has_more_keys(text, raw_members(text)):
        return None
    # Numbers stay texts: Python takes no integer of more than 4,300 digits.
    pairs = json.loads(text, object_pairs_hook=list, parse_int=str, parse_float=str)
    counts = Counter(name for name, _ in pairs)
    return next((name for name in counts if counts[name] > 1), None)
