"""The lines of a text, and those that hold one of some literals, found by one search of the text."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property


class Lines:
    """A text, line by line."""

    def __init__(self, text: str) -> None:
        """Keep the text."""
        self.text = text

    @cached_property
    def lines(self) -> Sequence[str]:
        """Its lines."""
        return self.text.split("\n")

    @cached_property
    def _lower(self) -> bytes:
        # The lower case of bytes, unlike that of a text, is as long as they are.
        return self.text.encode("utf-8", "replace").lower()

    def numbers_containing(self, literals: Iterable[bytes]) -> list[int]:
        """Return the numbers, from 1, of the lines that hold one of these lower-case literals."""
        numbers: set[int] = set()
        for literal in literals:
            line, position = 1, 0
            for begin, _ in lines_containing(self._lower, literal):
                line += self._lower.count(b"\n", position, begin)
                position = begin
                numbers.add(line)
        return sorted(numbers)


def lines_containing(text: bytes, literal: bytes) -> Iterator[tuple[int, int]]:
    """Give where each line that holds a literal begins and ends."""
    at = text.find(literal)
    while at >= 0:
        end = text.find(b"\n", at)
        yield text.rfind(b"\n", 0, at) + 1, end if end >= 0 else len(text)
        at = text.find(literal, end) if end >= 0 else -1
