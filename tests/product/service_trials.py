"""Traffic while something happens to a service, and what came of the requests."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.product.serving import Service
from tests.product.traffic import (
    Reply,
    closed_loop,
    during,
    request,
)


def many_rows(service: Service, count: int) -> list[bytes]:
    """Write requests of several rows: a JSON array, and columns; each row is in one of each."""
    rows = service.served.rows
    written = []
    for first in range(0, len(rows) - count + 1, count):
        some = rows[first : first + count]
        columns = {"columns": {name: [row[name] for row in some] for name in some[0]}}
        written.append(request(service.port, "/predict", json.dumps(some).encode()))
        written.append(request(service.port, "/predict/batch", json.dumps(columns).encode()))
    return written


@dataclass(frozen=True)
class Swaps:
    """Releases that take turns under load.

    Attributes:
        answers: how many requests were answered.
        by_release: how many of them by which release.
        failed: statuses other than 200.
        mixed: answers with a row that the release they name does not give.
    """

    answers: int
    by_release: Counter[str]
    failed: Counter[int]
    mixed: int


ROWS = 25  # of a request, next to single ones


def swaps(service: Service, change: Callable[[int], None], count: int) -> Swaps:
    """Change what is served, again and again, while one-row and many-row requests come in.

    Args:
        service: whose releases take turns.
        change: makes the n-th change, and returns when the service follows.
        count: of changes.
    """
    alone, together = service.bodies(), many_rows(service, ROWS)

    async def traffic(stop: Callable[[], bool]) -> list[Reply]:
        port = service.port
        both = await asyncio.gather(
            closed_loop(port, alone, 4, stop), closed_loop(port, together, 2, stop)
        )
        for reply in both[1]:
            reply.number += len(alone)
        return [*both[0], *both[1]]

    def work() -> None:
        for number in range(count):
            change(number)

    replies, _ = asyncio.run(during(traffic, work))
    expected = service.served.expected
    answered = [reply for reply in replies if reply.status == 200]
    given = [reply.json for reply in answered]
    return Swaps(
        len(replies),
        Counter(answer["release"] for answer in given),
        Counter(reply.status for reply in replies if reply.status != 200),
        sum(
            not _agree(answer, reply.number, len(alone), expected[answer["release"]])
            for reply, answer in zip(answered, given, strict=True)
        ),
    )


def _agree(answer: dict[str, Any], number: int, alone: int, expected: Sequence[float]) -> bool:
    """Tell whether every row of an answer is what its release gives."""
    if number < alone:
        return bool(abs(answer["prediction"] - expected[number]) < 1e-5)
    first = (number - alone) // 2 * ROWS  # each block of rows was sent in two forms
    wanted = expected[first : first + ROWS]
    return all(
        abs(mine - theirs) < 1e-5
        for mine, theirs in zip(answer["predictions"], wanted, strict=True)
    )


@dataclass(frozen=True)
class Steady:
    """Traffic while something else happens.

    Attributes:
        answers: how many requests were answered.
        failed: statuses other than 200.
        slowest: milliseconds.
    """

    answers: int
    failed: Counter[int]
    slowest: float


def while_happening(service: Service, work: Callable[[], object]) -> Steady:
    """Send single rows from four callers while something happens in a thread."""
    bodies = service.bodies()

    async def traffic(stop: Callable[[], bool]) -> list[Reply]:
        return await closed_loop(service.port, bodies, 4, stop)

    replies, _ = asyncio.run(during(traffic, work))
    return Steady(
        len(replies),
        Counter(reply.status for reply in replies if reply.status != 200),
        max(reply.seconds for reply in replies) * 1000,
    )
