"""A service keeps its log in an object store, through a power cut of that and a kill of its own."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.product.serving import Served, Service, eventually, own, released, serving
from tests.product.stores import azurite, moto, seaweed, tools
from tests.product.test_release_bucket import says

__all__ = ["own", "released"]  # fixtures
pytestmark = pytest.mark.slow

# On a machine that has nothing: what the log has, and for how many rows a rollout would plan.
READER = """
import json
from datetime import UTC, datetime, timedelta
from rung_ops import prediction_log
from rung_ops.release.rollout import logged_traffic
traffic = logged_traffic("production", datetime.now(UTC) + timedelta(hours=1))
log = prediction_log.read(prediction_log.folder("production")).collect()
print(json.dumps([sorted(log["id"]), round(traffic.rows)]))
"""


def answered(service: Service, *names: str) -> None:
    """Ask for predictions by these ids, and wait until they are on the disk."""
    before = service.metric("prediction_log_rows_total", outcome="written")
    for name in names:
        assert service.predict(service.served.rows[0], **{"X-Request-ID": name})[0] == 200

    def written() -> bool:
        rows = service.metric("prediction_log_rows_total", outcome="written")
        return rows == before + len(names)

    assert eventually(written), service.log.read_text()


@pytest.mark.parametrize(
    "server", [seaweed, moto, azurite], ids=lambda server: str(server.__name__)
)
def test_no_row_is_lost_or_doubled_in_a_bucket_whose_server_is_killed(
    own: Served, tmp_path: Path, server: Callable[..., Any]
) -> None:
    own.deploy("good", "--at-once")
    with server(tools(tmp_path / "tools"), tmp_path / "store") as store:
        settings = store.settings | {"LOGS": store.address}
        here = settings | {"LOGS_CACHE": str(tmp_path / "service")}
        with serving(own, here) as service:
            answered(service, "first", "second")
            assert service.stop() == 0
        assert len(store.sizes("team/production/predictions/")) == 1

        with serving(own, here) as service:
            answered(service, "third")
            store.kill()
            assert says(service, "the prediction log stays on this machine"), (
                service.log.read_text()
            )
            answered(service, "fourth")
            service.stop(signal.SIGKILL)
        store.start()
        if server is not seaweed:
            store.make_bucket()
        with serving(own, here) as service:
            answered(service, "fifth")
            assert service.stop() == 0, service.log.read_text()

        there = settings | {"LOGS_CACHE": str(tmp_path / "reader")}
        for _ in range(2):
            ids, rows = json.loads(own.python("-c", READER, settings=there))
            assert ids == sorted(["first", "second", "third", "fourth", "fifth"])
            assert rows == 5
