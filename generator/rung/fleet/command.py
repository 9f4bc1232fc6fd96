"""The verb `rung fleet`: review many repositories, print one table, and answer by exit code."""

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from rung.check import BELOW, known_game
from rung.errors import RungError
from rung.fleet import found, page, table, workers
from rung.fleet.progress import Progress
from rung.fleet.row import Row, look, unread
from rung.review.hit import printable

DIED = "the process that read it was ended, by want of memory for one"
FORMATS: dict[str, Callable[[Sequence[Row], str], str]] = {
    "text": lambda rows, name: table.text(rows),
    "json": lambda rows, name: table.as_json(rows),
    "csv": lambda rows, name: table.as_csv(rows),
    "html": page.make,
}


def fleet(
    where: Path, game: str | None, form: str, *, min_level: int, seconds: float, jobs: int | None
) -> int:
    """Print where the repositories of a fleet stand, and return the exit code.

    Args:
        where: a folder of repositories, or a file that lists them.
        game: governance, velocity, or None for what each says of itself.
        form: one of FORMATS.
        min_level: the rung below which the answer is no, for any of them.
        seconds: of processor time, at most, for each.
        jobs: how many are read at once; None for one on each processor.
    """
    known_game(game)
    if form not in FORMATS:
        raise RungError(f"There is no format `{form}`. Give one of {', '.join(FORMATS)}.")
    rows = reviewed(found.places(where), game, seconds, jobs or _processors())
    sys.stdout.write(FORMATS[form](rows, printable(where.resolve().name)))
    # What could not be read is not known to stand on any rung.
    low = min_level and not all(row.holds(min_level) for row in rows)
    return BELOW if low else 0


def reviewed(
    places: Sequence[found.Place], game: str | None, seconds: float, jobs: int
) -> list[Row]:
    """Review them in several processes, saying on stderr how far it is; rows in their order."""
    rows: dict[int, Row] = {}
    progress = Progress(len(places), sys.stderr)
    work = partial(look, game=game, seconds=seconds)
    try:
        with contextlib.closing(workers.each(work, places, min(jobs, len(places)))) as results:
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
