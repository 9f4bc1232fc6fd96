"""Reviews of many repositories in several processes."""

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
EVERY = 50  # repositories between lines of progress where there is no terminal


def review_all(
    fleet: Sequence[Repository], game: str | None, seconds: float, jobs: int | None
) -> list[Row]:
    """Review repositories in several processes, with progress on stderr.

    Args:
        fleet: The repositories.
        game: Governance or velocity; None for what each repository states.
        seconds: Limit of processor time for each review.
        jobs: Number of processes; None for one per processor.

    Returns:
        A row for each repository, in the same order.
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
    # A container or taskset may leave this process only some of the machine's processors.
    with contextlib.suppress(AttributeError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Progress:
    """Progress of a run: a line that is rewritten on a terminal, else a new line now and then."""

    def __init__(self, total: int, stream: TextIO) -> None:
        self.total = total
        self.stream = stream
        self.is_terminal = stream.isatty()
        self.done = 0

    def step(self, name: str) -> None:
        """Count a repository as done, and show the progress."""
        self.done += 1
        text = f"{self.done} of {self.total} repositories"
        if self.is_terminal:
            width = shutil.get_terminal_size().columns - 1
            self.stream.write(f"\r\033[K{f'{text}  {name}'[:width]}")
            self.stream.flush()
        elif self.done % EVERY == 0 and self.done < self.total:
            print(text, file=self.stream, flush=True)

    def clear(self) -> None:
        """Remove the line from the terminal."""
        if self.is_terminal and self.done:
            self.stream.write("\r\033[K")
            self.stream.flush()
