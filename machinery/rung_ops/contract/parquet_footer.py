"""The number of bytes that a Parquet file says it holds unpacked, read from its footer alone.

The footer is Thrift in its compact protocol, of which this reads what the sum takes:
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from pathlib import Path
from typing import Any

MAGIC = b"PAR1"
LONGEST = 2_000_000  # bytes of a footer that is read, a second or two
DEEPEST = 16  # structs and lists within others
ROW_GROUPS, TOTAL_BYTE_SIZE = 4, 2  # fields of FileMetaData and of RowGroup
TRUE, FALSE, BYTE, DOUBLE, BINARY, LIST, SET, STRUCT = 1, 2, 3, 7, 8, 9, 10, 12


def unpacked_bytes(path: Path) -> int | None:
    """Return the sum over all row groups; None if the file has no footer that can be read."""
    try:
        return sum(
            group.get(TOTAL_BYTE_SIZE, 0) for group in _Footer(_read(path)).struct()[ROW_GROUPS]
        )
    except (IndexError, KeyError, TypeError, AttributeError, ValueError):
        return None


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        end = file.seek(0, 2)
        file.seek(max(end - 8, 0))
        tail = file.read(8)
        length = int.from_bytes(tail[:4], "little")
        if tail[4:] != MAGIC or not 0 < length <= min(LONGEST, end - 8):
            raise ValueError("no footer")
        file.seek(end - 8 - length)
        return file.read(length)


class _Footer:
    """Reads values one after the other."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Read the fields of a struct, by their numbers."""
        fields, number = {}, 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._signed()
            kind = head & 15
            fields[number] = kind == TRUE if kind in (TRUE, FALSE) else self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if depth > DEEPEST:
            raise ValueError("too deep")
        if kind in (TRUE, FALSE, BYTE):
            return self._byte()
        if kind < DOUBLE:
            return self._signed()
        if kind == DOUBLE:
            return self._skip(8)
        if kind == BINARY:
            return self._skip(self._unsigned())
        if kind in (LIST, SET):
            head = self._byte()
            count = head >> 4 if head >> 4 < 15 else self._unsigned()
            return [self._value(head & 15, depth + 1) for _ in range(self._bounded(count))]
        if kind == STRUCT:
            return self.struct(depth + 1)
        raise ValueError("a kind of value that Parquet does not use")

    def _byte(self) -> int:
        self.at += 1
        return self.content[self.at - 1]

    def _unsigned(self) -> int:
        value = shift = 0
        while (byte := self._byte()) & 128:
            value |= (byte & 127) << shift
            shift += 7
            if shift > 63:
                raise ValueError("a number of more than 64 bits")
        return value | byte << shift

    def _signed(self) -> int:
        value = self._unsigned()
        return value >> 1 ^ -(value & 1)

    def _skip(self, count: int) -> None:
        self.at += self._bounded(count)

    def _bounded(self, count: int) -> int:
        """Refuse a number of bytes or of values that the rest of the footer cannot hold."""
        if count > len(self.content) - self.at:
            raise ValueError("cut off")
        return count
