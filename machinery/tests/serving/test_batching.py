"""What arrives together is scored together, nothing waits for company, and too much is refused."""

import asyncio
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

from machinery.tests.serving.calls import CONTRACT, release
from rung_ops.model.bundle import ReleaseFiles
from rung_ops.model.released import Release
from rung_ops.model.rows import Refusal, Table
from rung_ops.project.service_settings import Limits
from rung_ops.serving.batching import IDLE_ITERATIONS, MAX_ROWS, SMALL, Batcher, Job, ScoringError
from rung_ops.serving.loaded_release import LatencyModel, LoadedRelease


class Batches:
    """A batcher, and the sizes of the batches that it scored."""

    def __init__(self, limits: Limits, pace: tuple[float, float] = (1e-4, 1e-6)) -> None:
        self.sizes: list[int] = []
        self.may_score = threading.Event()
        self.may_score.set()
        self.served = LoadedRelease(self.counting(pace), "serving", strict=False)
        self.batcher = Batcher(limits, lambda scored: None)

    def counting(self, pace: tuple[float, float]) -> Release:
        made = release()

        def predict(features: pl.DataFrame) -> np.ndarray:
            self.may_score.wait(10)
            self.sizes.append(features.height)
            return made.predictor(features)

        return Release(
            *("v1", ReleaseFiles(Path("v1")), {}, CONTRACT, {}, made.features, predict, {}),
            seconds=pace,
        )

    def job(self, rows: int, number: int = 1) -> Job:
        """Make a job whose predictions are twice the number."""
        frame = pl.DataFrame(
            {"number": [number] * rows, "weight": [2.0] * rows},
            schema_overrides={"number": pl.Int16},
        )
        return Job(self.served, "id", "", 0.0, Table(frame, {}))

    def small(self, number: int = 1) -> Job:
        row = {"number": number, "kind": "a", "code": "AB", "at": "2026-01-31T08:00:00"}
        rows = [self.served.reader.one(msgspec.json.encode(row))]
        return Job(self.served, "id", "", 0.0, rows)


@pytest.fixture
def batches() -> Iterator[Batches]:
    made = Batches(Limits(inline_ms=1000))
    yield made
    made.batcher.close()


def test_a_job_alone_is_scored_at_once(batches: Batches) -> None:
    async def alone() -> list[float]:
        job = batches.small(5)
        batches.batcher.submit(job)
        for _ in range(IDLE_ITERATIONS + 2):  # turns of the loop, in which no time passes
            await asyncio.sleep(0)
        assert job.future.done()
        return job.predictions

    assert asyncio.run(alone()) == [10.0]
    assert batches.sizes == [1]


def test_what_the_event_loop_still_hands_over_joins_the_batch(batches: Batches) -> None:
    async def one_after_the_other() -> list[list[float]]:
        jobs = [batches.small(number) for number in range(1, 11)]
        futures = []
        for job in jobs:
            futures.append(batches.batcher.submit(job))
            await asyncio.sleep(0)  # as the requests of a busy moment are read
        await asyncio.gather(*futures)
        return [job.predictions for job in jobs]

    assert asyncio.run(one_after_the_other()) == [[2.0 * number] for number in range(1, 11)]
    assert batches.sizes == [10]


def test_where_rows_take_long_batches_are_short() -> None:
    batches = Batches(Limits(inline_ms=1000, max_wait_ms=200), pace=(1e-4, 5e-3))

    async def together() -> None:
        await asyncio.gather(*(batches.batcher.submit(batches.small()) for _ in range(25)))

    asyncio.run(together())
    batches.batcher.close()
    assert batches.sizes[0] == 10  # a quarter of the longest wait
    assert sum(batches.sizes) == 25


def test_small_jobs_have_their_turn_between_the_parts_of_a_large_one(batches: Batches) -> None:
    async def both() -> tuple[Job, list[int]]:
        large = batches.job(3 * MAX_ROWS)
        batches.batcher.submit(large)
        await batches.batcher.submit(batches.small())
        output = list(batches.sizes)
        await large.future
        return large, output

    large, output = asyncio.run(both())
    assert len(output) < 4
    assert len(large.predictions) == 3 * MAX_ROWS
    assert sorted(batches.sizes) == [1, MAX_ROWS, MAX_ROWS, MAX_ROWS]


def test_a_batch_is_of_one_release(batches: Batches) -> None:
    async def two_releases() -> None:
        other = batches.small()
        other.served = batches.served.on("canary")
        await asyncio.gather(
            *map(batches.batcher.submit, [batches.small(), batches.small(), other])
        )

    asyncio.run(two_releases())

    assert batches.sizes == [2, 1]


def test_a_slow_batch_leaves_the_event_loop_free() -> None:
    batches = Batches(Limits(inline_ms=1), pace=(1.0, 1e-6))

    async def slow() -> list[float]:
        batches.may_score.clear()
        job = batches.small()
        future = batches.batcher.submit(job)
        await asyncio.sleep(0.02)  # the loop turns while the thread waits
        assert not future.done()
        batches.may_score.set()
        await future
        return job.predictions

    assert asyncio.run(slow()) == [2.0]
    batches.batcher.close()


def test_a_request_that_would_wait_too_long_is_refused_with_a_time() -> None:
    batches = Batches(Limits(max_wait_ms=200, max_rows=100_000), pace=(1e-4, 1e-3))

    async def many() -> Any:
        batches.batcher.admit(SMALL)
        batches.batcher.submit(batches.job(3000))
        batches.batcher.admit(1)  # a small one goes first
        with pytest.raises(Refusal) as refused:
            batches.batcher.admit(1000, is_large=True)
        return refused.value.retry_after

    assert asyncio.run(many()) == 3


def test_an_empty_queue_takes_any_size() -> None:
    batches = Batches(Limits(max_rows=100, max_wait_ms=1))

    async def one() -> None:
        batches.batcher.admit(100_000)

    asyncio.run(one())


def test_a_part_that_fails_ends_its_job_and_no_other(batches: Batches) -> None:
    async def both() -> tuple[Job, Job]:
        bad, good = batches.job(2 * MAX_ROWS, 13), batches.job(SMALL + 1, 2)
        batches.batcher.submit(bad)
        batches.batcher.submit(good)
        with pytest.raises(ScoringError, match="v1 cannot score this: 13 is unlucky"):
            await bad.future
        await good.future
        return bad, good

    bad, good = asyncio.run(both())
    assert good.predictions == [4.0] * (SMALL + 1)
    assert batches.batcher.waiting == 0


def test_an_answer_that_is_not_a_number_is_a_failure(
    batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = np.array([np.nan])
    monkeypatch.setattr(Release, "score", lambda self, rows: (rows, nothing))

    async def one() -> None:
        with pytest.raises(ScoringError, match="gave no number for a row"):
            await batches.batcher.submit(batches.small())

    asyncio.run(one())


def after(pace: LatencyModel, sizes: list[int], first: float, each: float) -> LatencyModel:
    """Let an estimate see batches that take so much."""
    for rows in sizes:
        pace.learn(rows, first + rows * each)
    return pace


def test_batches_of_different_sizes_tell_the_parts_apart() -> None:
    chance = random.Random(1)
    sizes = [chance.choice([1, 2, 16, 64, 500]) for _ in range(2000)]

    pace = after(LatencyModel(0.001, 0.001), sizes, 0.0005, 0.00001)

    assert pace.fixed == pytest.approx(0.0005, rel=0.05)
    assert pace.per_row == pytest.approx(0.00001, rel=0.05)


@pytest.mark.parametrize("rows", [1, 16, 1000])
def test_batches_of_one_size_are_estimated_right(rows: int) -> None:
    pace = after(LatencyModel(0.0004, 0.00002), [rows] * 500, 0.004, 0.0002)

    assert pace.seconds(rows) == pytest.approx(0.004 + rows * 0.0002, rel=0.01)
    assert pace.fixed > 0
    assert pace.per_row > 0


def test_one_mishap_at_most_doubles_an_estimate() -> None:
    pace = LatencyModel(0.0004, 0.00002)
    before = pace.seconds(16)

    pace.learn(16, 1000.0)

    assert pace.seconds(16) <= 2 * before


def test_what_took_no_time_is_still_estimated_later() -> None:
    pace = after(LatencyModel(0.0, 0.0), [0, 1, 5], 0.0, 0.0)

    pace = after(pace, [8] * 2000, 0.001, 0.001)

    assert pace.seconds(8) == pytest.approx(0.009, rel=0.05)
