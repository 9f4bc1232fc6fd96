"""A project whose entity features are on a Redis: filled, looked up, and answered for without it.

What the store itself does when its server is killed, slow, full or refuses a password is tried in
machinery/tests/features/test_redis_store.py, with the same server.
"""

import importlib
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.product.serving import eventually, free_port
from tests.product.test_entity_features import FLIGHT, trained
from tests.product.variants import Project, ask, serving

pytestmark = pytest.mark.slow

# By name, as type checkers know the files of machinery/tests as `tests`.
redis_server: Any = importlib.import_module("machinery.tests.redis_server")

ENTITIES = "carrier_late_7d: 13 entities as of 2013-12-31T05:00:00+00:00"
MATERIALIZE = "uv run poe materialize --as-of 2013-12-31T00:00:00"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with redis_server.running(tmp_path_factory.mktemp("redis")) as started:
        yield started


def answer(address: str) -> tuple[float, list[str]]:
    """Ask for one flight; return the prediction, and what got its default."""
    response = ask(address, FLIGHT)
    return response["prediction"], response["defaults_used"]


def metric(address: str, name: str) -> float:
    with urllib.request.urlopen(f"{address}/metrics", timeout=30) as reply:
        lines = reply.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


def test_a_service_looks_its_features_up_on_a_server_and_answers_without_it(
    copier_template: Path, tmp_path: Path, server: Any
) -> None:
    project: Project = trained(copier_template, tmp_path / "project", features="redis")
    # Long enough for a busy machine.
    (project.folder / "ops/features.toml").write_text("[redis]\ntimeout_ms = 200\n")
    project.commit("Wait longer")
    assert "REDIS_URL is not set" in project.fail(MATERIALIZE)
    (project.folder / ".env").write_text(f"REDIS_URL={server.address('wrong')}\n")
    assert "password" in project.fail(MATERIALIZE)
    (project.folder / ".env").write_text(f"REDIS_URL={server.address()}\n")
    assert "it is empty" in project.fail("uv run poe release")
    output = project.run(MATERIALIZE)
    assert ENTITIES in output
    assert "materialized: Redis" in output
    project.run("uv run poe gate")
    project.run("uv run poe release")
    project.run("uv run poe deploy production --at-once")
    assert not (project.folder / "releases/features.sqlite").exists()

    with serving(project, free_port()) as address:
        stored = answer(address)
        server.hold(True)
        try:
            held = [answer(address) for _ in range(10)]
        finally:
            server.hold(False)
        assert metric(address, "service_feature_store_readable") == 0
        # The service asks once a second whether the server answers again.
        assert eventually(lambda: answer(address) == stored)
        server.kill()
        killed = answer(address)
        failed = metric(address, 'service_entity_lookups_total{entity="carrier",outcome="failed"}')
        server.start()  # empty
        project.run(MATERIALIZE)
        assert eventually(lambda: answer(address) == stored)
        assert metric(address, "service_feature_store_readable") == 1

    assert stored[1] == []
    assert all(defaults == ["carrier_late_7d"] for _, defaults in [*held, killed])
    assert failed >= 11
    assert "the feature store of `carrier_late_7d`" in project.fail("uv run poe monitor")
