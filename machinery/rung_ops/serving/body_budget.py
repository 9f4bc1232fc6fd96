"""The bytes of bodies that came in part, over all requests of a process."""

import asyncio
from types import TracebackType

from rung_ops.model.rows import Refusal


class BodyBudget:
    """Bounds those bytes: where they are too many, the oldest body gives way.

    So callers that begin with bodies and never end them are refused, and not those who come later.
    """

    def __init__(self, limit: int) -> None:
        """Start with nothing.

        Args:
            limit: in bytes.
        """
        self._limit = limit
        self._used = 0
        self._unfinished: dict[UnfinishedBody, None] = {}

    def unfinished(self) -> "UnfinishedBody":
        """Begin with a body that comes in parts, in a separate task."""
        return UnfinishedBody(self)

    def add(self, body: "UnfinishedBody", size: int) -> None:
        """Count a part of a body.

        Raises:
            Refusal: it is the body that has to give way.
        """
        self._unfinished[body] = None
        body.size += size
        self._used += size
        while self._used > self._limit:
            oldest = next(iter(self._unfinished))
            self.remove(oldest)
            oldest.give_way()
            if oldest is body:
                raise too_many_bodies()

    def remove(self, body: "UnfinishedBody") -> None:
        """Count a body no longer: it is complete, or was refused."""
        if body in self._unfinished:
            del self._unfinished[body]
            self._used -= body.size


class UnfinishedBody:
    """A body that is being read; a context that turns giving way into a refusal.

    Attributes:
        size: bytes that have come.
    """

    def __init__(self, budget: BodyBudget) -> None:
        """Read it in the running task."""
        self.size = 0
        self._budget = budget
        self._task = asyncio.current_task()
        self._gave_way = False

    def add(self, size: int) -> None:
        """Count a part.

        Raises:
            Refusal: this body has to give way.
        """
        self._budget.add(self, size)

    def give_way(self) -> None:
        """Refuse it: where its task waits for the next part, that is woken."""
        if self._task is not None and self._task is not asyncio.current_task():
            self._gave_way = True
            self._task.cancel()

    def __enter__(self) -> "UnfinishedBody":
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End; a cancellation of this budget is a refusal."""
        self._budget.remove(self)
        if self._gave_way and self._task is not None:
            self._task.uncancel()
            if isinstance(error, asyncio.CancelledError):
                raise too_many_bodies() from None


def too_many_bodies() -> Refusal:
    """Return the refusal of a body for which there is no room."""
    return Refusal(
        503,
        "Too many bodies are being sent: send faster, or fewer rows at a time.",
        retry_after=1,
    )
