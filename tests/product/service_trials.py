"""What a service is put through, at any size, and the figures that come of it."""

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.product.serving import Service
from tests.product.traffic import (
    RESET,
    Reply,
    closed_loop,
    during,
    for_seconds,
    open_loop,
    quantile,
    request,
)


@dataclass(frozen=True)
class Overload:
    """Too many requests, open loop; waits count from the moment a request was to be sent.

    Where others use the service's core as well, all times are those that it would have taken with
    the core to itself: what was measured, times the share of the core that it had.

    Attributes:
        capacity: answers in a second when sixteen callers wait for them, before and after.
        goodput: predictions in a second under overload.
        accepted_p99, refused_p99: milliseconds.
        statuses: how many answers had which status; RESET for broken connections.
        without_advice: refusals that do not say when to come back.
        pace: share of the requests that were sent in time.
        share: of its core that the service had under overload.
    """

    capacity: float
    goodput: float
    accepted_p99: float
    refused_p99: float
    statuses: Counter[int]
    without_advice: int
    pace: float
    share: float


class _Watched:
    """Seconds that passed since, and how many of them a service could compute."""

    def __init__(self, service: Service) -> None:
        self._times = Path(f"/proc/{service.process.pid}/stat")
        self._start, self._cpu = time.perf_counter(), self._used()

    def _used(self) -> float:
        fields = self._times.read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")

    def seconds(self) -> tuple[float, float]:
        """Return both."""
        return time.perf_counter() - self._start, self._used() - self._cpu


def overload(service: Service, seconds: float, times: float = 10.0) -> Overload:
    """Measure the capacity of a service, send many times as much, and measure it once more."""
    bodies = service.bodies()

    def calm() -> tuple[float, float]:
        """Give answers in a second, and in a second of computing."""
        watched = _Watched(service)
        replies = asyncio.run(closed_loop(service.port, bodies, 16, for_seconds(4)))
        answered = sum(reply.status == 200 for reply in replies)
        lasted, used = watched.seconds()
        return answered / lasted, answered / used

    asyncio.run(closed_loop(service.port, bodies, 16, for_seconds(2)))  # it learns its own pace
    rate, before = calm()
    watched = _Watched(service)
    replies = asyncio.run(open_loop(service.port, bodies, rate * times, seconds))
    lasted, used = watched.seconds()
    _, after = calm()
    accepted = [reply for reply in replies if reply.status == 200]
    refused = [reply for reply in replies if reply.status == 503]
    share = min(used / lasted, 1.0)
    return Overload(
        (before + after) / 2,
        len(accepted) / used,
        quantile([reply.seconds for reply in accepted], 0.99) * share * 1000,
        quantile([reply.seconds for reply in refused], 0.99) * share * 1000,
        Counter(reply.status for reply in replies),
        sum(b"retry-after:" not in reply.head for reply in refused),
        len(replies) / lasted / (rate * times),
        share,
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


__all__ = ["RESET", "many_rows", "overload", "swaps", "while_happening"]
