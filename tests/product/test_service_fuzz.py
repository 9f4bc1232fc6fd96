"""What schemathesis makes of /openapi.json: each malformed request is refused, none is an error."""

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as some

from tests.product.serving import Served, own, released, serving

__all__ = ["own", "released"]  # fixtures
pytestmark = pytest.mark.slow


def test_four_hundred_malformed_requests_are_not_an_error(own: Served) -> None:
    schemathesis = pytest.importorskip("schemathesis")
    own.deploy("good")
    statuses: Counter[int] = Counter()
    with serving(own) as service:
        schema = schemathesis.openapi.from_dict(json.loads(service.get("/openapi.json")[1]))
        operations = [schema["/predict"]["POST"], schema["/predict/batch"]["POST"]]
        negative = schemathesis.GenerationMode.NEGATIVE
        broken = some.one_of(*(each.as_strategy(generation_mode=negative) for each in operations))

        @seed(20261125)
        @settings(
            max_examples=400,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(broken)
        def send(case: Any) -> None:
            statuses[case.call(base_url=f"http://127.0.0.1:{service.port}").status_code] += 1

        send()
        status, answer = service.predict(own.rows[0])
        ready = service.get("/health/ready")[0]

    print(f"\n{dict(statuses)}")
    assert statuses.total() >= 400
    assert not [status for status in statuses if status >= 500]
    assert [status for status in statuses if 400 <= status < 500]
    assert (status, ready) == (200, 200)
    assert answer["prediction"] == pytest.approx(own.expected[own.names["good"]][0], abs=1e-5)
