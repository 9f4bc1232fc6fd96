"""The reviews of many repositories, in several processes."""

import contextlib
import os
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from typing import TextIO

from rung.check.fleet import workers
from rung.check.fleet.repositories import Repository
from rung.check.fleet.row import Row, reviewed, unread

DIED = "the process that read it was ended by the system, for example because memory ran out"
EVERY = 50  # repositories between two lines where no line can move


def review_all(
    fleet: Sequence[Repository], game: str | None, seconds: float, jobs: int | None
) -> list[Row]:
    """Review repositories in several processes, with the progress on stderr.

    Args:
        fleet: the repositories.
        game: governance, velocity, or None for what each says of itself.
        seconds: of processor time, at most, for each.
        jobs: how many are read at once; None for one on each processor.

    Returns:
        A row for each, in their order.
    """
    rows: dict[int, Row] = {}
    progress = Progress(len(fleet), sys.stderr)
    work = partial(reviewed, game=game, seconds=seconds)
    try:
        with contextlib.closing(
            workers.run_all(work, fleet, min(jobs or _processors(), len(fleet)))
        ) as results:
            for index, row in results:
                rows[index] = row or unread(fleet[index], DIED)
                progress.step(rows[index].repository)
    finally:
        progress.clear()
    return [rows[index] for index in range(len(fleet))]


def _processors() -> int:
    # Not all of a machine's may be ours: a container or taskset leaves some.
    with contextlib.suppress(AttributeError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Progress:
    """How far a run is: a line that moves on a terminal, a line now and then elsewhere."""

    def __init__(self, total: int, stream: TextIO) -> None:
        self.total = total
        self.stream = stream
        self.moves = stream.isatty()
        self.done = 0

    def step(self, name: str) -> None:
        """Show that one more is done."""
        self.done += 1
        text = f"{self.done} of {self.total} repositories"
        if self.moves:
            width = shutil.get_terminal_size().columns - 1
            self.stream.write(f"\r\033[K{f'{text}  {name}'[:width]}")
            self.stream.flush()
        elif self.done % EVERY == 0 and self.done < self.total:
            print(text, file=self.stream, flush=True)

    def clear(self) -> None:
        """Remove the moving line."""
        if self.moves and self.done:
            self.stream.write("\r\033[K")
            self.stream.flush()
