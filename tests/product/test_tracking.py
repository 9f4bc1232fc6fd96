"""Runs on a tracking server, which is real: see tracking_server.py."""

import os
import re
import tomllib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.product import stores
from tests.product.conftest import environment, run
from tests.product.processes import end_group
from tests.product.tracking_client import has_to_record, made, project_on_few_rows, settings, when
from tests.product.tracking_server import SECRETS, Server, running
from tests.product.variants import Project

pytestmark = pytest.mark.slow

COPIES = "tags.copied_from_run != ''"


@pytest.fixture(scope="module")
def server(copier_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A project on rung 2 whose first run is on its tracking server."""
    folder = tmp_path_factory.mktemp("tracking")
    tools = stores.tools(folder / "tools")
    project = project_on_few_rows(copier_template, folder / "project")
    with running(project, tools) as server:
        settings(project, uri=server.uri)
        project.commit("Use our server")
        project.run("uv run poe pipeline")
        yield server


def killed_while_it_copies(server: Server, verb: str) -> None:
    """Kill a program when a run is half there, and again when a version is."""

    def copies() -> int:
        return len(server.runs("RUNNING", COPIES)) + len(server.runs(condition=COPIES))

    for count in (copies, lambda: len(server.versions())):
        before, process = count(), server.project.begin("-m", "rung_ops", "tracking", verb)
        moment = partial(_more_than, count, before)
        when(process, moment, partial(end_group, process))


def _more_than(count: Callable[[], int], before: int) -> bool:
    return count() > before


def test_the_compose_file_holds_no_secret(server: Server) -> None:
    path = server.project.folder / "tracking/compose.yaml"
    raw = yaml.safe_load(path.read_text())["services"]
    for service in raw.values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|KEY|BACKEND", name):
                assert ":?" in value
    example = (server.project.folder / ".env.example").read_text()
    assert all(f"\n#{name}=\n" in example for name in SECRETS)
    assert set(raw["mlflow"]["depends_on"]) == {"database", "store"}


def test_the_server_is_of_the_mlflow_that_its_clients_have() -> None:
    project = tomllib.loads((ROOT / "machinery/pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    pins = [
        [pin for pin in packages if re.match(r"mlflow\b", pin)]
        for packages in (extras["track"], extras["tracking-server"])
    ]

    assert pins[0] == pins[1] != []


@pytest.mark.every_commit
def test_every_task_works_against_it(server: Server) -> None:
    project = server.project
    project.run("uv run poe tune --trials 1")

    assert made(project)["version"] in [each["version"] for each in server.versions()]
    assert "challenger" in project.run("uv run poe lineage")
    assert server.uri in project.run("BROWSER=true uv run poe runs")
    assert "No run is waiting" in project.run("uv run poe track-sync")
    assert not (project.folder / "mlflow.db").exists()
    assert not (project.folder / "mlruns").exists()
    # The files went through the server to the store: the client has no key of it.
    reported = loaded(project, server, "challenger")
    assert "Classifier" in reported or "Pipeline" in reported
    listed = server.store.ask("list_objects_v2", Bucket="mlflow")
    assert any(each["Key"].endswith(".skops") for each in listed["Contents"])


def loaded(project: Project, server: Server, alias: str) -> str:
    name = server.versions()[0]["name"]
    code = (
        f"import mlflow; mlflow.set_tracking_uri({server.uri!r}); "
        f"print(type(mlflow.sklearn.load_model('models:/{name}@{alias}')).__name__)"
    )
    return run(project.folder / ".venv/bin/python", "-c", code, cwd=project.folder).stdout


def test_what_was_recorded_without_it_is_copied_exactly_once(server: Server) -> None:
    project = server.project
    versions, runs = len(server.versions()), len(server.runs())
    settings(project, when_down="continue")
    has_to_record(project)
    server.end()

    output = project.run("uv run poe pipeline")
    here = made(project)

    assert "Training continues" in output
    assert "waits for the server" in output
    server.up()
    killed_while_it_copies(server, "sync")
    project.run("uv run poe pipeline")  # brings what still waits

    there = made(project)
    assert len(server.versions()) == versions + 1
    assert len(server.runs()) == runs + 1
    assert there["run_id"] != here["run_id"]
    assert there["version"] == server.versions()[-1]["version"] == server.aliases()["challenger"]
    assert "No run is waiting" in project.run("uv run poe track-sync")
    assert loaded(project, server, "challenger")
    # Nothing is recorded a second time.
    project.run("uv run poe pipeline")
    assert there == made(project)
    settings(project, when_down="stop")


def test_local_runs_move_to_it_also_when_it_is_interrupted(server: Server) -> None:
    """Everything that was recorded here is there afterwards, once, and still here."""
    project = server.project
    for old in project.folder.glob("ml*"):  # of another test
        run("rm", "-r", old, cwd=project.folder)
    local = f"MLFLOW_TRACKING_URI=sqlite:///{project.folder}/mlflow.db"
    has_to_record(project)
    project.run(f"{local} uv run poe pipeline")
    project.run(f"{local} .venv/bin/python -m rung_ops track")
    project.run(f"{local} uv run poe tune --trials 1")
    versions, runs = len(server.versions()), len(server.runs())
    held = (project.folder / "mlflow.db").stat().st_size

    killed_while_it_copies(server, "migrate")
    output = project.run("uv run poe track-migrate")

    assert "Done." in output
    added = server.versions()[versions:]
    assert [each["tags"].get("migrated_from") for each in added] == ["1", "2"]
    finished = server.runs()
    assert len(finished) == runs + 4  # two of the pipeline, the search and its trial
    known = {each["info"]["run_id"] for each in finished}
    copied = [each["tags"] for each in finished if "copied_from_run" in each["tags"]]
    parents = {tags["mlflow.parentRunId"] for tags in copied if "mlflow.parentRunId" in tags}
    assert parents and parents <= known
    assert (project.folder / "mlflow.db").stat().st_size >= held
    again = project.run("uv run poe track-migrate")
    assert "copied" not in again.replace("copied before", "").replace("0 copied", "")
    assert len(server.versions()) == versions + 2


def test_without_docker_it_is_reported_what_to_do(server: Server) -> None:
    project = server.project
    path = os.pathsep.join(
        part
        for part in environment()["PATH"].split(os.pathsep)
        if not (Path(part) / "docker").exists()
    )

    output = run(
        *("uv", "run", "poe", "tracking-server"), cwd=project.folder, expect=1, PATH=path
    ).stdout

    assert "Docker is not installed" in output
    assert "`uv run poe tracking-server --local`" in output
