"""How many connections the service holds, and which of them gives way when there are too many."""

import sys
from collections.abc import Callable, Iterable
from typing import Protocol

BACKLOG = 100  # connections that the kernel keeps until they are accepted, all of them at once
OTHER_FILES = 60  # descriptors that releases, logs and sockets of the process itself need


class Connection(Protocol):
    """A connection, as far as its right to stay goes."""

    def precedence(self) -> int | None:
        """Say how soon it gives way, 0 first; None while its request is being answered."""

    def drop(self) -> None:
        """Close it without an answer."""


class Connections:
    """The open connections of a process, the oldest first.

    A new one is always accepted as long as an old one can give way: whoever holds many connections
    without using them then closes his own, and others are answered.
    """

    def __init__(self, limit: int, count: Callable[[str], None]) -> None:
        """Hold none.

        Args:
            limit: of connections; further ones make an old one give way.
            count: called with the reason why a connection was ended.
        """
        self.limit = limit
        self.count = count
        self._open: dict[Connection, None] = {}

    def __len__(self) -> int:
        """Count the open connections."""
        return len(self._open)

    def add(self, new: Connection) -> bool:
        """Add a connection; return False if there is no room for it."""
        if len(self._open) >= self.limit:
            self.count("connections")
            oldest = _first_to_go(self._open)
            if oldest is None:
                return False
            del self._open[oldest]
            oldest.drop()
        self._open[new] = None
        return True

    def remove(self, closed: Connection) -> None:
        """Forget a connection that was closed."""
        self._open.pop(closed, None)


def _first_to_go(connections: Iterable[Connection]) -> Connection | None:
    chosen: tuple[int, Connection] | None = None
    for each in connections:
        precedence = each.precedence()
        if precedence is not None and (chosen is None or precedence < chosen[0]):
            chosen = precedence, each
            if precedence == 0:
                break
    return chosen[1] if chosen else None


def affordable(wanted: int) -> int:
    """Raise the limit of open files as far as needed; return how many connections fit under it."""
    if sys.platform == "win32":
        return wanted
    import resource

    needed = wanted + BACKLOG + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        soft = max(soft, raised)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, soft - BACKLOG - OTHER_FILES))
