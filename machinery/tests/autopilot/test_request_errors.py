"""Failed requests are counted for the release that failed them."""

from typing import Any

import pytest

from rung_ops.autopilot import post_promotion_check
from rung_ops.autopilot.post_promotion_check import Rate


def read(release: str, answered: int, failed: int, process: float = 1.0) -> dict[str, Any]:
    return {"release": release, "process": process, "answered": answered, "failed": failed}


def test_only_differences_between_readings_of_one_release_and_process_count() -> None:
    readings = [
        read("v1", 100, 1),
        read("v1", 300, 2),  # 200 answered, 1 failed: v1's
        read("v2", 900, 40),  # of an unknown release
        read("v2", 1000, 42),  # 100 answered, 2 failed: v2's
        read("v2", 50, 50, process=2.0),  # restarted
        read("v2", 150, 53, process=2.0),  # 100 answered, 3 failed: v2's
    ]

    assert post_promotion_check.rate(readings, "v1") == Rate(1, 201)
    assert post_promotion_check.rate(readings, "v2") == Rate(5, 205)
    assert post_promotion_check.rate(readings, "v3") == Rate(0, 0)


def test_the_interval_of_a_rise_is_newcombes() -> None:
    # Newcombe 1998, Statistics in Medicine 17, 873-890, table II, (a): 56/70 against 48/80.
    low, high = post_promotion_check.rise(Rate(48, 80), Rate(56, 70), 0.95)

    assert (low, high) == (pytest.approx(0.0524, abs=1e-4), pytest.approx(0.3339, abs=1e-4))


def test_a_service_that_does_not_answer_has_no_counts() -> None:
    assert post_promotion_check.reading("http://127.0.0.1:9", "v1") is None
