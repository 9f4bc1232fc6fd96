"""The lines of a text, and those that have one of some words, found without looking at each line."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property


class Lines:
    """A text, line by line."""

    def __init__(self, lines: Sequence[str]) -> None:
        """Keep the lines."""
        self.lines = lines

    @cached_property
    def _lower(self) -> bytes:
        # The lower case of bytes, unlike that of a text, is as long as they are.
        return "\n".join(self.lines).encode("utf-8", "replace").lower()

    def having(self, needles: Iterable[bytes]) -> list[int]:
        """Return the numbers, from 1, of the lines that have one of these lower-case words."""
        found: set[int] = set()
        for needle in needles:
            line, place = 1, 0
            for begin, _ in holding(self._lower, needle):
                line += self._lower.count(b"\n", place, begin)
                place = begin
                found.add(line)
        return sorted(found)


def holding(text: bytes, needle: bytes) -> Iterator[tuple[int, int]]:
    """Give where each line that holds a needle begins and ends."""
    at = text.find(needle)
    while at >= 0:
        end = text.find(b"\n", at)
        yield text.rfind(b"\n", 0, at) + 1, end if end >= 0 else len(text)
        at = text.find(needle, end) if end >= 0 else -1
