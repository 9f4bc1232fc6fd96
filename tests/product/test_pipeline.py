"""The pipeline of rung 2: it runs what has changed and nothing else, and leads back to its data."""

import json
import os
import re
import signal
from pathlib import Path

import pytest

from tests.command import git
from tests.product.conftest import environment
from tests.product.processes import end_group, start_process
from tests.product.serving import free_port
from tests.product.variants import Project, answers, start

pytestmark = pytest.mark.slow

NEW_ROWS = (
    "scheduled,carrier,flight,origin,destination,distance,late\n"
    "2014-01-02T08:00:00,UA,1545,EWR,IAH,1400,false\n"
    "2014-01-02T09:00:00,B6,725,JFK,BQN,1576,true\n"
)
UP_TO_DATE = "Data and pipelines are up to date."


@pytest.fixture(scope="module")
def project(copier_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose pipeline has run once, from a clean commit."""
    made = start(copier_template, tmp_path_factory.mktemp("pipeline") / "project", level=2)
    made.run("uv run poe pipeline")
    made.commit("Run the pipeline")
    return made


def run_of(project: Project) -> dict[str, str]:
    text = (project.folder / "reports/run.json").read_text()
    recorded: dict[str, str] = json.loads(text)
    return recorded


def hashes(project: Project) -> dict[str, str]:
    """The hash of each output of the pipeline, by its path, as dvc.lock has them."""
    lock = (project.folder / "dvc.lock").read_text()
    return dict(re.findall(r"- path: (\S+)\n\s+hash: md5\n\s+md5: (\w+)", lock))


def commands_of_the_page(project: Project, heading: str) -> str:
    """Read the first shell block below a heading of the page on new data."""
    page = (project.folder / "data/incoming/README.md").read_text()
    match = re.search(rf"^{heading}.*?```sh\n(.*?)```", page, re.DOTALL | re.MULTILINE)
    assert match, page
    return match[1]


def test_a_changed_parameter_runs_just_what_it_touches(project: Project) -> None:
    params = project.folder / "params.toml"
    before = params.read_text()
    params.write_text(before.replace("max_iter = 100", "max_iter = 20"))

    output = project.run("uv run dvc status")
    params.write_text(before)

    assert "train:" in output
    assert "ingest:" not in output
    assert "split:" not in output


def test_a_version_leads_back_to_its_commit(project: Project) -> None:
    start_of_history = git(project.folder, "rev-parse", "HEAD~1")

    output = project.run("uv run poe lineage 1")

    assert f"commit       {start_of_history}\n" in output
    assert hashes(project)["data/rows.parquet"] in output
    assert "model.max_iter = 100" in output


def test_a_clone_makes_the_same_model_of_the_same_commit(project: Project, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", str(project.folder), "clone")
    clone = Project(tmp_path / "clone")
    clone.run("uv sync && uv run dvc repro --force")

    for path in ("data/rows.parquet", "reports/predictions.parquet", "reports/metrics.json"):
        assert hashes(clone)[path] == hashes(project)[path]


def test_two_branches_that_bring_data_are_settled_as_the_page_says(
    project: Project, tmp_path: Path
) -> None:
    git(tmp_path, "clone", "--quiet", str(project.folder), "clone")
    team = Project(tmp_path / "clone")
    team.run(f"uv sync && uv run dvc remote modify local url {tmp_path / 'shared'}")
    team.commit("Share a remote")
    for branch, month in (("mine", "2014-03"), ("theirs", "2014-04")):
        team.run(f"git switch --quiet -c {branch} main && git clean -fdxq data/incoming")
        rows = NEW_ROWS.replace("2014-01", month)
        (team.folder / f"data/incoming/{month}.csv").write_text(rows)
        team.run("uv run poe incoming && uv run dvc repro validate")
        team.commit(f"Add {month}")

    team.fail("git merge mine")
    unmerged = team.run("git diff --name-only --diff-filter=U").splitlines()
    assert unmerged == ["dvc.lock"]
    assert "data/incoming/README.md" in team.fail("uv run poe pipeline")
    team.run(f"set -e\n{commands_of_the_page(team, '## Two branches')}")

    assert team.is_clean()
    assert UP_TO_DATE in team.run("uv run poe pipeline")
    counted = team.run(
        'uv run python -c "import polars as pl; '
        "print(pl.read_parquet('data/rows.parquet').filter(pl.col('scheduled').dt.year() == 2014)"
        '.height)"'
    )
    assert int(counted) == 4


def test_new_files_are_versioned_and_reach_a_clone(project: Project, tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    project.run(f"uv run dvc remote modify local url {remote}")
    project.commit("Share a remote")
    (project.folder / "data/incoming/january.csv").write_text(NEW_ROWS)

    project.run(f"set -e\n{commands_of_the_page(project, '# New data')}")

    assert "with uncommitted changes" not in project.run("uv run poe lineage 2")
    tracked = git(project.folder, "ls-files", "data/incoming").splitlines()
    assert "data/incoming/january.csv.dvc" in tracked
    assert "data/incoming/january.csv" not in tracked
    assert run_of(project)["version"] == "2"
    assert UP_TO_DATE in project.run("uv run poe pipeline")

    git(tmp_path, "clone", "--quiet", str(project.folder), "clone")
    clone = Project(tmp_path / "clone")
    clone.run("uv sync && uv run poe pull")
    clone.run("uv run dvc repro validate")

    assert (clone.folder / "data/incoming/january.csv").read_text() == NEW_ROWS
    assert hashes(clone)["data/rows.parquet"] == hashes(project)["data/rows.parquet"]


def test_the_runs_can_be_browsed(project: Project) -> None:
    port = str(free_port())
    command = ["uv", "run", "poe", "runs", "--port", port]
    server = start_process(command, project.folder, Path(os.devnull), environment())
    try:
        assert answers(f"http://127.0.0.1:{port}/health", seconds=180)
    finally:
        end_group(server, signal.SIGTERM)


def test_a_change_of_the_source_alone_takes_the_way_to_production(
    copier_template: Path, tmp_path: Path
) -> None:
    """It leaves the predictions as they are, and a release holds the source."""
    project = start(copier_template, tmp_path / "project", level=3)
    project.run("uv run poe keys && uv run poe pipeline")
    project.commit("Train")
    project.run("uv run poe gate && uv run poe release && uv run poe deploy production")
    model = next((project.folder / "src").glob("*/model.py"))
    model.write_text(f"{model.read_text()}\n\nLIMIT = 0.9\n")
    project.commit("Add a limit")

    output = project.run("uv run poe gate")
    assert "src/ changed since version 1 was made: `uv run poe pipeline`" in output
    assert "is the champion already, so there is nothing to replace" in output

    project.run("uv run poe pipeline")
    project.commit("Train")
    told = "changed: source; the same: parameters, data, the model's predictions"
    output = project.run("uv run poe gate")
    assert told in output and "Passed: version 2 can replace v1-" in output
    assert told in project.run("uv run poe release")
    assert "v2-" in project.run("uv run poe deploy production")
