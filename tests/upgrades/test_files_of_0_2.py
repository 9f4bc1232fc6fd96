"""What 0.2 wrote is read as before: releases, state, history, logs, outcomes, approvals.

v0.2/made has the files, and the script that made them with 0.2.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.climbing import tiny
from tests.product.serving import free_port
from tests.upgrades import corpus

pytestmark = pytest.mark.slow

OLD = "v0.2"
READY_SECONDS = 300  # on a machine that does much else
OPERATORS = {"OPERATOR_TOKENS": f"Olga Officer:{'olga' * 8}, Vera Valid:{'vera' * 8}"}


class Updated:
    """A project of 0.2 after its update, with what 0.2 left in it, and the library of today."""

    def __init__(self, folder: Path, use_case: str) -> None:
        self.folder, self.made = folder, folder.with_name("made")
        for unpacked in (self.folder, self.made):
            with tarfile.open(corpus.HERE / OLD / "made" / f"{use_case}.tar.xz") as archive:
                archive.extractall(unpacked, filter="data")
        tiny.commit(folder, "Publish the keys")
        self.environment = os.environ | OPERATORS | {"PYTHONPATH": str(folder / "src")}

    def run(self, *words: str, code: int = 0) -> str:
        """Run a verb; return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "rung_ops", *words],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout
        return done.stdout

    def read(self, path: str) -> Any:
        """Read a JSON file of 0.2."""
        return json.loads((self.made / path).read_text())

    def state(self) -> Any:
        return json.loads((self.folder / "releases/production/state.json").read_text())

    @contextlib.contextmanager
    def serving(self) -> Iterator[str]:
        """Start the service, give its address when it is ready, and stop it."""
        port = free_port()
        command = [sys.executable, "-m", "rung_ops", "serve", "--port", str(port)]
        log = self.folder / "logs/service.txt"
        with log.open("w") as output:
            server = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=output, stderr=output
            )
        try:
            address = f"http://127.0.0.1:{port}"
            until = time.monotonic() + READY_SECONDS
            while not _ready(address):
                assert time.monotonic() < until, log.read_text()
                assert server.poll() is None, log.read_text()
                time.sleep(0.1)
            yield address
        finally:
            server.terminate()
            server.wait(timeout=60)


def _ready(address: str) -> bool:
    with contextlib.suppress(urllib.error.URLError, OSError):
        urllib.request.urlopen(f"{address}/health/ready", timeout=10).close()
        return True
    return False


@pytest.fixture(scope="module")
def updated_velocity(versions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = tiny.new_project(
        versions, tmp_path_factory.mktemp("velocity") / "p", OLD, use_case="velocity", level=4
    )
    tiny.climb(project, corpus.TODAY)
    return project


@pytest.fixture
def velocity(updated_velocity: Path, tmp_path: Path) -> Updated:
    return Updated(shutil.copytree(updated_velocity, tmp_path / "p", symlinks=True), "velocity")


@pytest.fixture
def governance(versions: Path, tmp_path: Path) -> Updated:
    project = tiny.new_project(versions, tmp_path / "p", OLD, use_case="governance", level=3)
    tiny.climb(project, corpus.TODAY)
    return Updated(project, "governance")


def assert_answers_as_before(project: Updated) -> None:
    """Send the rows of the log to a service of today, which has to answer what the log says."""
    log = pl.read_parquet(project.made / "logs/production/predictions")
    log = log.filter(arm="serving").sort("id").head(100)
    body = json.dumps(log["row"].to_list(), default=lambda value: value.isoformat())
    with project.serving() as address:
        headers = {"content-type": "application/json"}
        token = project.folder / ".keys/service.token"
        if token.exists():
            headers["authorization"] = f"Bearer {token.read_text().strip()}"
        request = urllib.request.Request(f"{address}/predict", body.encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            found = json.load(answer)

    assert {found["release"]} == set(log["release"])
    assert log["defaults_used"].to_list() == found["defaults_used"]
    assert log["prediction"].to_list() == pytest.approx(found["predictions"], abs=1e-6)


def kept(before: Any, now: Any) -> Any:
    """Leave out the keys that 0.2 did not write."""
    if isinstance(before, dict):
        return {key: kept(value, now[key]) for key, value in before.items()}
    if isinstance(before, list) and len(before) == len(now):
        return [kept(*pair) for pair in zip(before, now, strict=True)]
    return now


@pytest.mark.every_commit
def test_releases_of_0_2_are_served_listed_and_taken_back(velocity: Updated) -> None:
    before = velocity.state()

    listed = velocity.run("releases")
    assert_answers_as_before(velocity)

    assert f"serving    {before['serving']}" in listed
    assert f"shadow     {before['shadow']['release']}" in listed
    assert velocity.state() == before
    assert before["shadow"]["release"] in velocity.run("rollback", "--reason", "a test")
    assert (before["serving"], None) == (velocity.state()["serving"], velocity.state()["shadow"])
    history = (velocity.folder / "releases/production/history.jsonl").read_text()
    assert history.startswith(
        (velocity.made / "releases/production/history.jsonl").read_text()
    )  # and the verb has verified it


def test_log_outcomes_and_reference_of_0_2_give_the_figures_that_its_monitor_saw(
    velocity: Updated,
) -> None:
    before = velocity.read("reports/monitor/status.json")

    output = velocity.run("monitor", "--json", "--now", before["at"], code=1)

    assert before == kept(before, json.loads(output))
    assert before["quality"] and before["rows"]


def test_the_autopilot_goes_on_from_what_0_2_left(velocity: Updated) -> None:
    (record,) = (velocity.made / "releases/autopilot/passes").iterdir()
    before = json.loads(record.read_text())

    output = velocity.run("autopilot", "--look", "--now", before["at"])

    assert before["summary"] in output


@pytest.mark.every_commit
def test_an_approved_release_of_0_2_answers_and_its_audit_log_is_verified(
    governance: Updated,
) -> None:
    history = governance.made / "releases/production/history.jsonl"
    lines = len(history.read_text().splitlines())

    assert f"Verified: {lines} lines" in governance.run("governance", "audit-log")
    if date.today() >= date(2027, 12, 1):
        pytest.skip("the approval has expired: make.py makes another")
    assert_answers_as_before(governance)
    # Its record sets a day of 2099, which the monitor of today names: exit code 1.
    output = governance.run("governance", "monitor", "--since", "2026-01-01", code=1)

    assert "200 predictions" in output  # those of 0.2, and those of today
    assert "serving " in governance.run("releases")
