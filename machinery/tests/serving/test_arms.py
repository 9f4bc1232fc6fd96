"""A canary gets the share it is given, and keeps the keys it once had."""

import pytest

from rung_ops.serving.rollout import TrafficSplit

KEYS = [f"{number}" for number in range(50_000)]


def canary(share: float, release: str = "v2") -> set[str]:
    arms = TrafficSplit(release, share)
    return {key for key in KEYS if arms.choose(key) == "canary"}


@pytest.mark.parametrize("share", [0.01, 0.05, 0.25, 0.5])
def test_the_share_is_the_requested_one(share: float) -> None:
    # Five standard errors of a binomial share.
    unsure = 5 * (share * (1 - share) / len(KEYS)) ** 0.5

    assert len(canary(share)) / len(KEYS) == pytest.approx(share, abs=unsure)


def test_a_key_of_a_smaller_share_is_one_of_every_larger_share() -> None:
    assert set() < canary(0.01) < canary(0.05) < canary(0.25) < canary(1.0) == set(KEYS)


def test_no_caller_is_in_the_canary_without_a_canary_or_a_share() -> None:
    assert {TrafficSplit().choose(key) for key in KEYS[:100]} == {"serving"}
    assert {TrafficSplit(None, 0.5).choose(key) for key in KEYS[:100]} == {"serving"}
    assert canary(0.0) == set()


def test_the_answer_is_the_same_in_every_process() -> None:
    # Computed once: a change of it would move callers from one release to the other.
    assert sorted(canary(0.0002)) == ["11747", "28578", "35650", "4479", "45378", "7021"]


def test_another_release_is_tried_by_others() -> None:
    both = canary(0.25) & canary(0.25, "v3")

    assert len(both) / len(KEYS) == pytest.approx(0.25**2, abs=0.01)
