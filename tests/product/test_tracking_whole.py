"""The verbs of rungs 3 and 4 work with a tracking server as the registry, also when it is down."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.product import stores
from tests.product.flown import MOMENT, Flown, begin, take_off
from tests.product.tracking_client import settings
from tests.product.tracking_server import Server, running
from tests.product.variants import Project, take_another_seed

pytestmark = pytest.mark.slow

KILLED_AT = ROOT / "tests/assets/killed_at"


@pytest.fixture(scope="module")
def started(
    copier_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Flown, Server]]:
    """A project on rung 4 whose first release is in production, and its tracking server."""
    folder = tmp_path_factory.mktemp("whole")
    tools = stores.tools(folder / "tools")
    flown = begin(copier_template, folder / "project", "velocity", tracking="server")
    project = Project(flown.folder)
    with running(project, tools) as server:
        settings(project, uri=server.uri)
        flown.commit("Use our server")
        take_off(flown)
        yield flown, server


@pytest.fixture
def flying(started: tuple[Flown, Server]) -> tuple[Flown, Server]:
    """The same, with the server up."""
    started[1].up()
    return started


def test_the_autopilot_trains_on_the_server_once_despite_any_failure(
    flying: tuple[Flown, Server], tmp_path: Path
) -> None:
    """First the server is down, then the machine is switched off when a version is registered."""
    flown, server = flying
    flown.answer("2013-02-01", "2013-03-01")
    flown.answer("2013-05-25", "2013-06-01", "--origin", "JFK")
    flown.poe("monitor", expect=None)  # it exits 1 where something has drifted
    server.end(signal.SIGKILL)

    output = flown.autopilot(expect=1)

    assert "does not answer" in output and "Nothing was trained" in output
    assert "The pass stays open" in output and "Traceback" not in output
    server.up()
    once = tmp_path / "once"
    process = flown.begin(
        *("-m", "rung_ops", "autopilot", "--now", MOMENT),
        PYTHONPATH=str(KILLED_AT),
        KILLED_AT=r"reports/run\.json$",
        KILLED_ONCE=str(once),
    )
    output, _ = process.communicate(timeout=600)
    assert once.exists(), output
    assert process.returncode == -signal.SIGKILL, output
    assert len(server.versions()) == 2

    output = flown.autopilot()

    (only,) = flown.passes()
    assert only["outcome"] == "on trial", output
    assert "version 2 was registered already" in output
    assert ["1", "2"] == [each["version"] for each in server.versions()]
    assert flown.state()["shadow"]["release"].startswith("v2-")
    assert server.aliases()["champion"] == "1"
    assert flown.git("status", "--porcelain") == ""


def test_a_deployment_moves_the_champion_and_neither_it_nor_a_rollback_waits_for_the_server(
    flying: tuple[Flown, Server],
) -> None:
    """What production serves is what its state says; the alias on the server follows it."""
    flown, server = flying
    if len(flown.candidates()) < 2:  # where this test is run alone
        take_another_seed(flown.folder)
        flown.commit("Another seed")
        flown.poe("pipeline")
        flown.commit("Train it")
        flown.poe("gate")
        flown.poe("release")
    flown.poe("deploy", "production", "--at-once")
    second = flown.state()["serving"]
    assert second.startswith("v2-")
    assert server.aliases()["champion"] == "2"

    server.end(signal.SIGKILL)
    reported = flown.poe("rollback")
    assert flown.state()["serving"].startswith("v1-")
    assert "Traceback" not in reported
    for verb in ("gate", "release"):
        reported = flown.poe(verb, expect=1)
        assert "does not answer" in reported and "Traceback" not in reported
    reported = flown.poe("deploy", "production", second, "--at-once")
    assert flown.state()["serving"] == second
    assert "alias `champion` could not be set" in reported and "connection refused" in reported
    assert "Traceback" not in reported

    server.up()
    flown.poe("gate")
    assert not (flown.folder / "mlflow.db").exists()
