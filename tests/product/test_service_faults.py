"""The service answers while its registry is down, and finishes its requests when it is stopped."""

import signal
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from tests.product.serving import Served, eventually, own, released, serving
from tests.product.traffic import RESET, UNREACHED, during

__all__ = ["own", "released"]  # fixtures
pytestmark = pytest.mark.slow

DRAIN = 1.5  # seconds after the signal during which new requests are answered


def logged(served: Served, folder: Path) -> int:
    """Count the predictions in a log, each once."""
    code = "import sys, polars as pl; print(pl.read_parquet(sys.argv[1])['id'].n_unique())"
    return int(served.python("-c", code, f"{folder}/**/*.parquet").split()[-1])


def test_when_stopped_it_answers_requests_that_have_begun(own: Served) -> None:
    # A busy machine is no overload: none is refused for how long it would wait.
    own.set("ops/service.toml", "service", drain_seconds=2 * DRAIN, max_wait_ms=60_000.0)
    own.deploy("slow")
    with serving(own, settings={"SLOW_ROUNDS": "12000"}) as service:
        messages: list[float] = []

        def work() -> int:
            logged_rows = partial(service.metric, "prediction_log_rows_total", outcome="written")
            assert eventually(lambda: logged_rows() > 0), service.log.read_text()
            messages.append(time.perf_counter())
            return service.stop(signal.SIGTERM)

        replies, code = during(service.port, work, (service.bodies(), 16))
    under_way = [reply for reply in replies if reply.due < messages[0] < reply.due + reply.seconds]
    # Callers that connect long after the signal may be refused.
    early = [reply.status for reply in replies if reply.due < messages[0] + DRAIN]
    late = [reply.status for reply in replies if reply.due >= messages[0] + DRAIN]
    print(f"\n{len(under_way)} were under way; later {Counter(early)}, at the end {Counter(late)}")

    assert code == 0
    assert under_way
    assert set(early) == {200}
    assert set(late) <= {200, 503, RESET, UNREACHED}
    answered = sum(reply.status == 200 for reply in replies)
    written = logged(own, own.folder / "logs/production/predictions")
    assert answered <= written <= answered + late.count(RESET)
