"""Airflow, real and in an environment of its own, reads the project's DAGs and runs one."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Render
from tests.product.ci_site import site
from tests.product.ci_trials import a_year_passes, went_through_a_pass
from tests.product.conftest import Started, environment, run
from tests.product.variants import Project, on_few_rows

pytestmark = pytest.mark.slow

AIRFLOW = "apache-airflow==3.3.2"
# What Airflow itself is locked to: packages newer than this day are not taken.
AS_OF = "2026-11-20T00:00:00Z"
TELL = """
import json
from airflow.dag_processing.dagbag import DagBag
found = DagBag()
assert not found.import_errors, found.import_errors
print(json.dumps({
    name: {
        "schedule": dag.schedule,
        "catchup": dag.catchup,
        "at_once": dag.max_active_runs,
        "tasks": {task.task_id: task.bash_command for task in dag.tasks},
        "xcom": [task.task_id for task in dag.tasks if task.do_xcom_push],
        "after": {task.task_id: sorted(task.upstream_task_ids) for task in dag.tasks},
    }
    for name, dag in found.dags.items()
}))
"""


class Airflow:
    """An Airflow whose DAGs are those of a project."""

    def __init__(self, room: Path, home: Path, project: Path, **more: str) -> None:
        self.bin = room / "bin"
        self.variables = more | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(project / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            # The project's own environment, and not Airflow's, is where its tasks run.
            "PATH": environment()["PATH"],
        }
        self.folder = home
        home.mkdir(exist_ok=True)
        self.run("airflow", "db", "migrate")

    def run(self, program: str, *arguments: str, expect: int | None = 0) -> str:
        variables: dict[str, Any] = dict(self.variables)
        done = run(self.bin / program, *arguments, cwd=self.folder, expect=expect, **variables)
        return done.stdout


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with Airflow, or a skip."""
    folder = tmp_path_factory.mktemp("airflow")
    run("uv", "venv", "--quiet", "room", cwd=folder)
    install = ("uv", "pip", "install", "--quiet", "--python", "room", AIRFLOW)
    done = run(*install, "--exclude-newer", AS_OF, cwd=folder, expect=None)
    if done.returncode != 0:
        pytest.skip(f"Airflow cannot be installed here: {done.stdout[-300:]}")
    return folder / "room"


def test_airflow_reads_the_dags_of_every_rung(room: Path, render: Render, tmp_path: Path) -> None:
    observed = {}
    for level in (2, 4):
        project = render(orchestrator="airflow", level=level, use_case="velocity")
        airflow = Airflow(room, tmp_path / f"home{level}", project)
        output = airflow.run("python", "-c", TELL)
        observed[level] = json.loads(output.strip().splitlines()[-1])

    assert {"late-flights-train"} == set(observed[2])
    assert {f"late-flights-{name}" for name in ("train", "monitor", "autopilot")} == set(
        observed[4]
    )
    for dag in observed[4].values():
        assert not dag["catchup"]
        assert 1 == dag["at_once"]
        assert [] == dag["xcom"]
        assert dag["schedule"]
    train = observed[4]["late-flights-train"]
    assert {"pull": [], "pipeline": ["pull"]} == train["after"]
    assert "uv run --locked poe pipeline" == train["tasks"]["pipeline"]


def test_airflow_looks_at_production_and_makes_a_pass(
    room: Path, start: Started, tmp_path: Path
) -> None:
    here = site(start, tmp_path, orchestrator="airflow", level=4, use_case="velocity")
    variables: dict[str, Any] = here.variables | {
        "RELEASE_PRIVATE_KEY": here.secrets["RELEASE_PRIVATE_KEY"],
        "AUTOPILOT_PUSH": "origin autopilot",
    }
    airflow = Airflow(room, tmp_path / "home", here.project.folder, **variables)
    airflow.run("airflow", "dags", "reserialize")
    output = airflow.run("airflow", "dags", "test", "late-flights-train")
    assert "successful" in output and "late-flights version 1 is challenger" in output
    here.project.commit("Train")
    for verb in ("gate", "release", "deploy production"):
        run("uv", "run", "poe", *verb.split(), cwd=here.project.folder, **variables)
    a_year_passes(here)

    output = airflow.run("airflow", "dags", "test", "late-flights-monitor", expect=None)
    status = json.loads((here.project.folder / "reports/monitor/status.json").read_text())
    assert ("successful" in output) == (not status["problems"]), output
    assert all(problem in output for problem in status["problems"]), output

    output = airflow.run("airflow", "dags", "test", "late-flights-autopilot")
    assert "successful" in output
    went_through_a_pass(here)


def test_a_task_that_fails_fails_the_run(room: Path, copier_template: Path, tmp_path: Path) -> None:
    project = few(copier_template, tmp_path)
    (project.folder / "params.toml").write_text("this is not TOML")
    dags = project.folder / "dags/rung_pipeline.py"
    soon = dags.read_text().replace("retry_delay=timedelta(minutes=5)", "retry_delay=timedelta()")
    dags.write_text(soon)  # it is tried again as often, without waiting
    airflow = Airflow(room, tmp_path / "home", project.folder)

    airflow.run("airflow", "dags", "reserialize")
    output = airflow.run("airflow", "dags", "test", "late-flights-train", expect=None)

    assert "retry_delay=timedelta()" in soon
    assert "successful" not in output
    assert not (project.folder / "model/model.skops").exists()


def few(template: Path, folder: Path) -> Project:
    return on_few_rows(template, folder / "project", orchestrator="airflow")
