"""A release takes over step by step, also after the service was killed; no caller changes arms.

What sends a release back is tried in machinery/tests/serving/test_rollout.py.
"""

import json
import signal
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest

from tests.product.serving import Served, Service, eventually, own, released, serving
from tests.product.traffic import Reply, during, request

__all__ = ["own", "released"]  # fixtures
pytestmark = pytest.mark.slow

STEPS = [0.05, 0.25, 0.5, 1.0]


def hurry(served: Served, **shadow: Any) -> None:
    """Let a release take over within seconds of little traffic."""
    served.set("ops/rollout.toml", "shadow", **{"min_rows": 300, "min_seconds": 1} | shadow)
    served.set("ops/rollout.toml", "canary", steps=STEPS, min_requests=100, min_seconds=1)


def events(served: Served) -> list[dict[str, Any]]:
    lines = (served.folder / "releases/production/history.jsonl").read_text().splitlines()
    happened = [json.loads(line) for line in lines]
    return [event for event in happened if event["event"] != "without_gate"]


def with_traffic(service: Service, work: Callable[[], Any]) -> list[Reply]:
    """Send rows of five hundred callers, each with a key of its own, while something happens."""
    requests = [
        request("/predict", row, x_key=f"caller-{number}")
        for number, row in enumerate(service.served.rows)
    ]
    replies, _ = during(service.port, work, (requests, 4))
    assert {reply.status for reply in replies} == {200}
    return replies


def until(service: Service, holds: Callable[[dict[str, Any]], bool]) -> Callable[[], None]:
    """Make a function that waits until something holds of the state of production."""

    def wait() -> None:
        assert eventually(lambda: holds(service.served.state()), 120), service.log.read_text()

    return wait


def seeing(replies: list[Reply], release: str) -> set[int]:
    return {r.number for r in replies if r.status == 200 and r.json["release"] == release}


def switched_back(replies: list[Reply], release: str) -> list[int]:
    """Name the callers whom another release answered after this one had."""
    first: dict[int, float] = defaultdict(lambda: float("inf"))
    for reply in replies:
        if reply.json["release"] == release:
            answered = reply.due + reply.seconds
            first[reply.number] = min(first[reply.number], answered)
    assert first
    return [
        reply.number
        for reply in replies
        if reply.due > first[reply.number] and reply.json["release"] != release
    ]


def test_a_rollout_goes_on_where_it_was_when_the_service_was_killed(own: Served) -> None:
    hurry(own, share=1.0)
    own.deploy("good")
    own.deploy("alike")
    assert own.state()["shadow"]["release"] == own.names["alike"]
    with serving(own) as service:
        before = with_traffic(
            service, until(service, lambda now: now["canary"] and now["canary"]["step"] == 1)
        )
        service.stop(signal.SIGKILL)
    step = own.state()["canary"]["step"]
    with serving(own) as service:
        callers = seeing(before, own.names["alike"])
        after = with_traffic(
            service, until(service, lambda now: now["serving"] == own.names["alike"])
        )

    happened = [event["event"] for event in events(own)]
    print(f"\nkilled at step {step}; {len(callers)} callers knew it; {happened}")
    assert happened == ["serve", "shadow", "canary", "advance", "advance", "promote"]
    # Whom it answered before, it answers after; the service alone has forgotten nothing.
    first = {reply.number: reply for reply in reversed(after)}
    assert callers
    assert all(first[caller].json["release"] == own.names["alike"] for caller in callers)
    assert switched_back(after, own.names["alike"]) == []
