"""A thousand malformed requests: each is refused, none is an error of the service."""

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.product.service_fuzz import by_rule, by_schema
from tests.product.serving import Served, Service, own, released, serving

__all__ = ["own", "released"]  # fixtures
pytestmark = pytest.mark.slow


@pytest.fixture
def service(own: Served) -> Iterator[Service]:
    own.deploy("good")
    with serving(own) as started:
        yield started


def hold(service: Service, observed: Counter[int]) -> None:
    """Assert that nothing failed, and that the service answers as before."""
    print(f"\n{dict(observed)}")

    assert not [status for status in observed if status >= 500]
    assert sum(count for status, count in observed.items() if 400 <= status < 500) > 0
    status, answer = service.predict(service.served.rows[0])
    expected = service.served.expected[service.served.names["good"]][0]
    assert status == 200
    assert abs(answer["prediction"] - expected) < 1e-5
    assert service.get("/health/ready")[0] == 200


def test_six_hundred_requests_broken_by_rule_are_not_an_error(service: Service) -> None:
    observed = by_rule(service, 600)

    hold(service, observed)
    assert observed.total() == 600


def test_four_hundred_requests_of_schemathesis_are_not_an_error(service: Service) -> None:
    observed = by_schema(service, 400)

    hold(service, observed)
    assert observed.total() >= 400
