"""Ten times as many requests as the service can answer: those it takes are answered in time."""

import pytest

from tests.product.service_trials import RESET, Overload, overload
from tests.product.serving import Served, own, released, serving

__all__ = ["own", "released"]  # fixtures
pytestmark = [pytest.mark.slow, pytest.mark.alone]

# Others on this machine make the service and its caller look worse, never better: where it was not
# in time, it is tried again.
TRIALS = 5
# About four milliseconds of work for each row, so that a few hundred in a second are too many.
ROUNDS = "24000"


def put_under(served: Served, seconds: float) -> Overload:
    """Start the service with the slow release, and overload it."""
    served.deploy("slow")
    with serving(served, settings={"SLOW_ROUNDS": ROUNDS}) as service:
        observed = overload(service, seconds)
        answers = service.get("/health/ready")[0]
    print(f"\n{observed}")

    assert answers == 200
    return observed


def in_time(observed: Overload) -> bool:
    """Tell whether refusals came at once, the other answers in time, and as many as before."""
    return (
        observed.accepted_p99 <= 500
        and observed.refused_p99 <= 100
        and observed.goodput >= 0.7 * observed.capacity
        # The client kept its pace: it sent what it was to send.
        and observed.pace >= 0.9
    )


def test_overload_is_refused_at_once_and_the_rest_is_answered_in_time(own: Served) -> None:
    trials: list[Overload] = []
    while len(trials) < TRIALS and not any(map(in_time, trials)):
        trials.append(put_under(own, seconds=30))

    for observed in trials:
        assert set(observed.statuses) == {200, 503}
        assert observed.statuses[RESET] == 0
        assert observed.without_advice == 0
    assert in_time(trials[-1]), trials
