"""The trials of the other service suites in a minute: what is broken at once shows here."""

import time
from collections.abc import Iterator

import pytest

from tests.product.service_fuzz import by_rule
from tests.product.service_trials import RESET, while_happening
from tests.product.serving import Served, Service, own, released, serving
from tests.product.test_service_overload import put_under
from tests.product.test_service_swaps import take_turns

__all__ = ["own", "released"]  # fixtures
pytestmark = pytest.mark.slow


@pytest.fixture
def service(own: Served) -> Iterator[Service]:
    own.deploy("good")
    with serving(own) as started:
        yield started


def test_overload_breaks_no_connection(own: Served) -> None:
    observed = put_under(own, seconds=3)

    assert set(observed.statuses) == {200, 503}
    assert observed.statuses[RESET] == 0
    assert observed.without_advice == 0


def test_swaps_lose_and_mix_nothing(own: Served) -> None:
    observed = take_turns(own, 4)

    assert not observed.failed
    assert observed.mixed == 0
    assert len(observed.by_release) == 2


def test_malformed_requests_are_not_an_error(service: Service) -> None:
    observed = by_rule(service, 100)

    assert not [status for status in observed if status >= 500]
    assert service.predict(service.served.rows[0])[0] == 200


def test_an_unwritable_log_fails_no_prediction(own: Served) -> None:
    own.deploy("good")
    (own.folder / "logs").write_text("no folder")
    with serving(own) as service:
        observed = while_happening(service, lambda: time.sleep(2))
        failures = service.metric("prediction_log_failures_total")

    assert not observed.failed
    assert failures >= 1
