"""Windows of days: which were taken, which may be taken now.

The names of the files, or of their DVC records, say what was pulled, and nothing else
does: so nothing can contradict the files, and a window that is deleted is taken again.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path

from rung_ops.data.warehouse.errors import WarehouseError
from rung_ops.project.paths import shown

NAME = re.compile(r"(\d{4}-\d\d-\d\d)--(\d{4}-\d\d-\d\d)\.parquet(?:\.dvc)?\Z")


@dataclass(frozen=True, order=True)
class Window:
    """Days in a row, in UTC.

    Attributes:
        since: its first day.
        until: the first day after it.
    """

    since: date
    until: date

    def __str__(self) -> str:
        return f"{self.since} up to {self.until}"

    @property
    def file_name(self) -> str:
        """The name of its file; the same wherever it is taken."""
        return f"{self.since}--{self.until}.parquet"

    @property
    def ends(self) -> tuple[datetime, datetime]:
        """Its first moment, and the first after it."""
        return datetime.combine(self.since, time()), datetime.combine(self.until, time())


def taken(folder: Path) -> list[Window]:
    """List the windows that were taken, the earliest first.

    Raises:
        WarehouseError: two of them have days in common.
    """
    names = [NAME.match(path.name) for path in folder.glob("*.parquet*")]
    windows = sorted({Window(*map(date.fromisoformat, name.groups())) for name in names if name})
    for one, other in pairwise(windows):
        if other.since < one.until:
            raise WarehouseError(
                f"{shown(folder)}: {one.file_name} and {other.file_name} have days in common, and "
                "their rows would count twice. Delete one of them together with its .dvc file."
            )
    return windows


def waiting(
    done: list[Window], first: date, limit: datetime, size: timedelta
) -> Iterator[list[Window]]:
    """List the windows that were not taken and are over, in runs without a break.

    Args:
        done: from taken().
        first: the first day of all.
        limit: rows after this moment may still come or change.
        size: length of a window. One is shorter where the next that was taken begins.
    """
    day = first
    for window in done:
        if day < window.since:
            yield list(_cut(day, window.since, size, whole=False))
        day = max(day, window.until)
    yield list(_cut(day, limit.date(), size, whole=True))


def _cut(since: date, until: date, size: timedelta, whole: bool) -> Iterator[Window]:
    while since < until:
        end = since + size
        if end > until:
            if whole:
                return
            end = until
        yield Window(since, end)
        since = end
