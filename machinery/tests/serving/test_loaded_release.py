"""An estimate of what a batch takes finds its parts, whatever batches come, and bears a mishap."""

import random

import pytest

from rung_ops.serving.loaded_release import LatencyModel


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
