"""Bodies that come in part take bounded memory, and those that never end give way to others."""

import asyncio
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from rung_ops.model.rows import Refusal
from rung_ops.serving.app import BodyBudget, read_body

MOST = 1_000


class Sender:
    """Sends a body part by part."""

    def __init__(self, budget: BodyBudget) -> None:
        self.parts: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.task = asyncio.create_task(read_body(self.parts.get, 0, MOST, budget))

    async def send(self, size: int, more: bool = True) -> None:
        await self.parts.put({"type": "http.request", "body": b"x" * size, "more_body": more})
        for _ in range(5):  # until the reader waits again
            await asyncio.sleep(0)

    async def refused(self) -> Refusal:
        with pytest.raises(Refusal) as refusal:
            await self.task
        return refusal.value


def test_the_oldest_unfinished_body_gives_way() -> None:
    async def run() -> None:
        budget = BodyBudget(1_000)
        first, second, third = (Sender(budget) for _ in range(3))
        await first.send(400)
        await second.send(400)
        await third.send(400)

        refusal = await first.refused()
        assert (refusal.status, refusal.retry_after) == (503, 1)
        for each in (second, third):
            await each.send(100, more=False)
            assert len(await each.task) == 500
        assert first.task.cancelling() == 0

    asyncio.run(run())


def test_a_body_that_is_the_oldest_and_grows_too_large_is_refused_itself() -> None:
    async def run() -> None:
        budget = BodyBudget(500)
        first, second = Sender(budget), Sender(budget)
        await first.send(300)
        await second.send(100)
        await first.send(300)

        assert (await first.refused()).status == 503
        await second.send(400, more=False)
        assert len(await second.task) == 500

    asyncio.run(run())


def test_what_is_complete_refused_or_cut_off_counts_no_longer() -> None:
    async def run() -> None:
        budget = BodyBudget(1_000)
        for _ in range(20):
            complete, large, cut = (Sender(budget) for _ in range(3))
            for each in (complete, large, cut):
                await each.send(300)
            await complete.send(10, more=False)
            assert len(await complete.task) == 310
            await large.send(701)
            assert (await large.refused()).status in (413, 503)
            await cut.parts.put({"type": "http.disconnect"})
            with pytest.raises(ClientDisconnect):
                await cut.task
        everything = Sender(budget)
        await everything.send(500)
        await everything.send(500, more=False)
        assert len(await everything.task) == 1_000

    asyncio.run(run())


def test_a_body_in_one_piece_is_not_counted() -> None:
    async def run() -> None:
        budget = BodyBudget(1_000)
        waiting = Sender(budget)
        await waiting.send(900)
        small = Sender(budget)
        await small.send(900, more=False)

        assert len(await small.task) == 900
        await waiting.send(1, more=False)
        assert len(await waiting.task) == 901

    asyncio.run(run())


def test_a_cancellation_of_somebody_else_stays_one() -> None:
    async def run() -> None:
        sender = Sender(BodyBudget(1_000))
        await sender.send(10)
        sender.task.cancel()

        with pytest.raises(asyncio.CancelledError):
            await sender.task

    asyncio.run(run())
