"""How much of a repository is read, and what was left out of it."""

import time
from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Limits:
    """Bounds that keep a hostile or enormous repository from taking the machine.

    Attributes:
        seconds: of processor time for all of it, so that a busy machine reads as much as an idle one.
        files: that are looked at.
        depth: of folders.
        text: bytes of a file that is read as text; larger ones are left out.
        notebook: bytes of a notebook, which carries its pictures with it.
        data: bytes of a YAML, TOML or JSON file.
        line: characters of a line that are looked at.
    """

    seconds: float = 4.5
    files: int = 200_000
    depth: int = 64
    text: int = 500_000
    notebook: int = 4_000_000
    data: int = 400_000
    line: int = 1_000


@dataclass
class LeftOut:
    """What was not looked at, by reason, with one example each."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    out_of_time: bool = False
    unread: set[tuple[str, str]] = field(default_factory=set)

    def note_file(self, reason: str, path: str) -> None:
        """Count a file that was left out only once."""
        if (reason, path) not in self.unread:
            self.unread.add((reason, path))
            self.note(reason, path)

    def note(self, reason: str, path: str, number: int = 1) -> None:
        """Count something that was left out."""
        self.counts[reason] += number
        self.examples.setdefault(reason, path)


class Clock:
    """Processor time that is left."""

    def __init__(self, seconds: float) -> None:
        """Start, with a number of seconds."""
        self.end = time.process_time() + seconds
        self.asked_again = 0.0  # on the clock on the wall, which costs a tenth to look at

    def is_up(self) -> bool:
        """Say whether the time is over.

        One thread uses no more processor time than passes on the wall: until as much has passed as
        was left at the last look, the time cannot be over.
        """
        now = time.perf_counter()
        if now < self.asked_again:
            return False
        left = self.end - time.process_time()
        self.asked_again = now + left
        return left < 0

    def stops(self, left_out: LeftOut, path: str) -> bool:
        """Say whether the time is over; what it stops makes the result partial, and is named."""
        if not self.is_up():
            return False
        if not left_out.out_of_time:
            left_out.note("not reached in time", path)
        left_out.out_of_time = True
        return True
