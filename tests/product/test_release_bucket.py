"""A service takes its releases from an object store, which is killed and comes back."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.product.serving import Served, Service, eventually, own, released, serving
from tests.product.stores import BUCKET, azurite, moto, seaweed, tools

__all__ = ["own", "released"]  # fixtures
pytestmark = pytest.mark.slow

# Many who have read the same state change it at the same moment; prints what became of each.
AT_ONCE = """
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from rung_ops.project import paths
from rung_ops.release import state
folder, many = paths.environment("production"), 8
before, start = state.read(folder), Barrier(many)
def change(number):
    start.wait()
    try:
        return state.stop(folder, f"operator {number}", "all at once", before.generation).stopped.by
    except state.ChangeRefusedError as error:
        return str(error)
with ThreadPoolExecutor(many) as pool:
    print("\\n".join(pool.map(change, range(many))))
state.resume(folder, "operator")
"""

# A file of two parts.
LARGE = """
from rung_ops.project import paths
from rung_ops.release import state
folder = paths.environment("staging")
large = paths.bundle(folder, "large")
large.mkdir(parents=True)
(large / "model").write_bytes(b"0123456789" * 1_000_000)
state.state_store(folder).upload(large.name)
"""


def deploy(served: Served, name: str, settings: Mapping[str, str]) -> None:
    options = ("--at-once", "--without-gate", "made for a test")
    words = ("-m", "rung_ops", "deploy", "production", served.names[name], *options)
    served.python(*words, settings=settings)


def follows(service: Service, name: str) -> bool:
    row, release = service.served.rows[0], service.served.names[name]
    return eventually(lambda: service.predict(row)[1].get("release") == release, seconds=60)


def says(service: Service, word: str) -> bool:
    def problems() -> str:
        status, text = service.get("/health/ready")
        return " ".join(json.loads(text)["problems"]) if status == 200 else ""

    return eventually(lambda: word in problems(), seconds=60)


@pytest.mark.parametrize(
    "server", [seaweed, moto, azurite], ids=lambda server: str(server.__name__)
)
def test_releases_come_from_a_bucket_whose_server_is_killed(
    own: Served, tmp_path: Path, server: Callable[..., Any]
) -> None:
    with server(tools(tmp_path / "tools"), tmp_path / "store") as store:
        operator = store.settings | {"RELEASES": store.address}
        cache = own.folder / "releases" / store.scheme / BUCKET / "team"
        cache.mkdir(parents=True)
        (cache / "candidates").symlink_to(own.folder / "releases/candidates")
        deploy(own, "good", operator)
        with serving(own, operator | {"RELEASES_CACHE": str(tmp_path / "cache")}) as service:
            assert follows(service, "good")
            deploy(own, "other", operator)
            assert follows(service, "other"), service.log.read_text()
            own.python("-c", LARGE, settings=operator)
            key = "team/staging/bundles/large/model"
            assert store.sizes(key) == {key: 10_000_000}

            result = own.python("-c", AT_ONCE, settings=operator).splitlines()
            winners = [line for line in result if line.startswith("operator ")]
            refused = [line for line in result if "production was changed in the meantime" in line]
            assert (len(winners), len(refused)) == (1, 7), result
            assert all(f": stop by {winners[0]} at " in line for line in refused)
            assert follows(service, "other")

            store.kill()
            assert says(service, "nothing answers there. Since 20"), service.log.read_text()
            assert follows(service, "other")

            store.start()
            if server is seaweed:
                deploy(own, "good", operator)
                assert follows(service, "good"), service.log.read_text()
            else:
                assert says(service, "there is no such bucket"), service.log.read_text()
                assert follows(service, "other")
