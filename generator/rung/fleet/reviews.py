"""The reviews of many repositories, in several processes."""

import contextlib
import os
import sys
from collections.abc import Sequence
from functools import partial

from rung.fleet import repositories, workers
from rung.fleet.progress import Progress
from rung.fleet.row import Row, look, unread

DIED = "the process that read it was ended, by want of memory for one"


def reviewed(
    places: Sequence[repositories.Place], game: str | None, seconds: float, jobs: int | None
) -> list[Row]:
    """Review repositories in several processes, with the progress on stderr.

    Args:
        places: where they are.
        game: governance, velocity, or None for what each says of itself.
        seconds: of processor time, at most, for each.
        jobs: how many are read at once; None for one on each processor.

    Returns:
        A row for each, in their order.
    """
    rows: dict[int, Row] = {}
    progress = Progress(len(places), sys.stderr)
    work = partial(look, game=game, seconds=seconds)
    try:
        with contextlib.closing(
            workers.each(work, places, min(jobs or _processors(), len(places)))
        ) as results:
            for place, row in results:
                rows[place] = row or unread(places[place], DIED)
                progress.step(rows[place].repository)
    finally:
        progress.clear()
    return [rows[place] for place in range(len(places))]


def _processors() -> int:
    # Not all of a machine's may be ours: a container or taskset leaves some.
    with contextlib.suppress(AttributeError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
