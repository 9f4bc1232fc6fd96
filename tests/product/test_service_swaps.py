"""Releases take turns under load, and no answer is lost or made by two of them."""

import pytest

from tests.product.service_trials import Swaps, swaps
from tests.product.serving import Served, eventually, own, released, serving

__all__ = ["own", "released"]  # fixtures
pytestmark = [pytest.mark.slow, pytest.mark.alone]


def take_turns(served: Served, count: int) -> Swaps:
    """Let two releases that contradict each other take turns under load."""
    turns = [served.names["other"], served.names["good"]]
    served.deploy("good")
    with serving(served) as service, served.deploying() as deploy:

        def change(number: int) -> None:
            name = turns[number % 2]
            deploy(name)
            assert eventually(lambda: service.predict(served.rows[0])[1]["release"] == name), (
                service.log.read_text()
            )

        observed = swaps(service, change, count)
    print(f"\n{observed}")
    return observed


def test_fifty_swaps_under_load_fail_no_request_and_mix_no_answer(own: Served) -> None:
    observed = take_turns(own, 50)

    assert not observed.failed
    assert observed.mixed == 0
    assert set(observed.by_release) == {own.names["good"], own.names["other"]}
    assert min(observed.by_release.values()) > 100
