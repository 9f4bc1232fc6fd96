"""The generated CI really runs: GitHub's workflows with act, GitLab's with gitlab-ci-local."""

import base64
import json
import re
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.product.conftest import Started, commit, run, search_path, tool
from tests.product.serving import free_port
from tests.product.variants import (
    Project,
    ask,
    in_production,
    promise_less,
    serving,
    validate,
)

pytestmark = pytest.mark.slow

STUBS = Path(__file__).parent / "stubs"
# act takes the checkout from the folder itself.
ACTION = re.compile(r"uses: ((?!actions/checkout@)([\w-]+)/([\w-]+)@\w+)")
BROKEN = "\n\ndef test_that_is_broken_on_purpose():\n    assert [] == [1]\n"


def github(
    project: Path, job: str, event: str, artifacts: Path, *more: str, **secrets: str
) -> subprocess.CompletedProcess[str]:
    """Run one workflow on this machine; actions that would be downloaded are stubs."""
    workflow = f".github/workflows/{job}.yml"
    used = sorted(set(ACTION.findall((project / workflow).read_text())))
    stubs = [
        f"--local-repository=https://github.com/{action}={STUBS / name}" for action, _, name in used
    ]
    return run(
        *(tool("act"), event, "-W", workflow, "-P", "ubuntu-latest=-self-hosted"),
        *("--no-cache-server", "--env", f"ARTIFACTS={artifacts}", *stubs, *more),
        *(part for name in secrets for part in ("--secret", name)),
        cwd=project,
        expect=None,
        **secrets,
    )


def gitlab(
    project: Path, job: str, venv: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run one job on this machine; its `pip` is that of a fresh virtual environment."""
    # The job prunes the cache at its end: give it one of its own, not this machine's.
    given = variables | {"UV_CACHE_DIR": str(venv.parent / "uv-cache")}
    return run(
        *(tool("gitlab-ci-local"), "--force-shell-executor", "--shell-isolation"),
        *(part for pair in given.items() for part in ("--variable", "=".join(pair))),
        job,
        cwd=project,
        expect=None,
        PATH=search_path(venv / "bin"),
    )


def break_a_test(project: Path) -> None:
    """Add a test that fails, and commit it."""
    path = project / "tests" / "test_model.py"
    path.write_text(path.read_text() + BROKEN)
    commit(project, "Break a test")


@pytest.fixture(scope="session")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an environment with pip, as the image of a GitLab job has one."""
    folder = tmp_path_factory.mktemp("gitlab") / "venv"
    run(sys.executable, "-m", "venv", folder, cwd=folder.parent)
    return folder


@pytest.mark.parametrize("use_case", ["velocity", "governance"])
def test_github_check_passes_as_generated(start: Started, tmp_path: Path, use_case: str) -> None:
    done = github(start(ci="github", level=1, use_case=use_case), "check", "push", tmp_path)

    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


def test_github_check_fails_with_a_broken_test(start: Started, tmp_path: Path) -> None:
    project = start(ci="github", level=1, use_case="velocity")
    break_a_test(project)

    done = github(project, "check", "pull_request", tmp_path)

    assert done.returncode == 1, done.stdout
    assert "test_that_is_broken_on_purpose" in done.stdout


def test_github_check_says_that_the_lock_is_missing(start: Started, tmp_path: Path) -> None:
    project = start(ci="github", level=1, use_case="velocity")
    (project / "uv.lock").unlink()
    commit(project, "Forget the lock")

    done = github(project, "check", "push", tmp_path)

    assert done.returncode == 1, done.stdout
    assert "Unable to find lockfile at `uv.lock`" in done.stdout


def test_github_train_uploads_what_it_made(start: Started, tmp_path: Path) -> None:
    project = start(ci="github", level=2, use_case="velocity")

    done = github(project, "train", "schedule", tmp_path)

    assert done.returncode == 0, done.stdout
    trained = tmp_path / "trained"
    for made in ("model/model.skops", "reports/metrics.json", "reports/report.html", "mlflow.db"):
        assert (trained / made).is_file(), made


def test_github_approve_needs_a_validation_record(start: Started, tmp_path: Path) -> None:
    project = start(ci="github", level=2, use_case="governance")
    done = github(project, "train", "workflow_dispatch", tmp_path)
    assert done.returncode == 0, done.stdout

    done = github(
        *(project, "approve", "workflow_dispatch", tmp_path, "--input", "version=1"),
        *("--input", "run=1"),
    )

    assert done.returncode == 1, done.stdout
    assert "nobody has validated version 1" in done.stdout
    with sqlite3.connect(tmp_path / "trained" / "mlflow.db") as registry:
        aliases = registry.execute("SELECT alias FROM registered_model_aliases").fetchall()
    assert ("champion",) not in aliases


def test_gitlab_check_passes_as_generated(start: Started, venv: Path) -> None:
    done = gitlab(start(ci="gitlab", level=1, use_case="governance"), "check", venv)

    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


def test_gitlab_check_fails_with_a_broken_test(start: Started, venv: Path) -> None:
    project = start(ci="gitlab", level=1, use_case="governance")
    break_a_test(project)

    done = gitlab(project, "check", venv)

    assert done.returncode == 1, done.stdout
    assert "test_that_is_broken_on_purpose" in done.stdout


def test_gitlab_train_keeps_what_it_made(start: Started, venv: Path) -> None:
    project = start(ci="gitlab", level=2, use_case="velocity")

    done = gitlab(project, "train", venv)

    assert done.returncode == 0, done.stdout
    trained = project / ".gitlab-ci-local" / "artifacts" / "train"
    for made in ("model/model.skops", "reports/metrics.json", "reports/report.html", "mlflow.db"):
        assert (trained / made).is_file(), made


@dataclass
class Site:
    """A project whose jobs share folders with the service, as on a runner of one's own.

    Attributes:
        project: what is checked out.
        folder: holds the folders of the service, and the artefacts.
        secrets: the private keys, which are nowhere else.
    """

    project: Project
    folder: Path
    secrets: dict[str, str]

    @property
    def variables(self) -> dict[str, str]:
        """Name the folders as the jobs do."""
        return {name: str(self.folder / name.lower()) for name in ("RELEASES", "LOGS", "OUTCOMES")}

    def github(self, job: str, event: str, *more: str) -> subprocess.CompletedProcess[str]:
        """Run a workflow of the project."""
        given = [part for pair in self.variables.items() for part in ("--var", "=".join(pair))]
        folder = self.project.folder
        return github(folder, job, event, self.folder, *given, *more, **self.secrets)

    def gitlab(self, job: str, venv: Path, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a job of the project."""
        # It hides a variable in its logs only if that is one line without spaces.
        hidden = {
            name: base64.b64encode(key.encode()).decode() for name, key in self.secrets.items()
        }
        return gitlab(self.project.folder, job, venv, **self.variables, **hidden, **more)

    def candidates(self) -> list[str]:
        """Name the releases that were made."""
        return sorted(path.name for path in (self.folder / "releases/candidates").iterdir())

    def production(self) -> dict[str, Any]:
        """Read what production is to do."""
        text = (self.folder / "releases/production/state.json").read_text()
        state: dict[str, Any] = json.loads(text)
        return state

    def events(self) -> list[str]:
        """Name what stands in the audit log of production, oldest first."""
        lines = (self.folder / "releases/production/history.jsonl").read_text().splitlines()
        return [json.loads(line)["event"] for line in lines]


def site(start: Started, folder: Path, **answers: Any) -> Site:
    """Make a project ready for its jobs: keys, limits, a repository to push to, a DVC remote."""
    project = Project(start(**answers))
    project.run("uv run poe keys")
    secrets = {
        f"{path.stem.upper()}_PRIVATE_KEY": path.read_text()
        for path in (project.folder / ".keys").iterdir()
    }
    shutil.rmtree(project.folder / ".keys")
    project.run(f"uv run dvc remote modify local url {folder / 'data'}")
    promise_less(project)
    # The job `check` tries what is in there.
    shutil.rmtree(project.folder / "ops/tests")
    project.commit("Set up")
    project.run(
        f"git init --quiet --bare --initial-branch main {folder / 'origin.git'} && "
        f"git remote set-url origin {folder / 'origin.git'} && git push --quiet origin main"
    )
    return Site(project, folder, secrets)


# Rows of a year that the model has not seen, and what became of them.
NEXT_YEAR = """
import sys
from datetime import timedelta
from pathlib import Path
import polars as pl
from ops import contract
from ops.settings import raw_files
rows = contract.load(raw_files()[0]).lazy().collect().sample(2000, seed=1)
rows = rows.with_columns(pl.col("scheduled") + timedelta(days=364)).unique(contract.Row.to_schema().unique)
outcomes = Path(sys.argv[1])
outcomes.mkdir()
rows.write_parquet(outcomes / "next_year.parquet")
print(rows.drop(contract.TARGET).write_json())
"""


def a_year_passes(site: Site) -> None:
    """Let the service answer for some rows, and their outcomes arrive."""
    program = site.project.folder / "next_year.py"
    program.write_text(NEXT_YEAR)
    said = site.project.run(f"uv run --quiet python next_year.py {site.folder / 'outcomes'}")
    program.unlink()
    with serving(site.project, free_port(), **site.variables) as address:
        ask(address, json.loads(said.splitlines()[-1]))


def as_the_status_says(done: subprocess.CompletedProcess[str], reports: Path) -> None:
    """Hold the outcome of the job `monitor` against the report that it keeps."""
    problems = json.loads((reports / "status.json").read_text())["problems"]
    assert done.returncode == (1 if problems else 0), done.stdout
    assert (reports / "report.html").stat().st_size > 5_000


def went_through_a_pass(site: Site) -> None:
    """Find what a pass leaves: its journal, and on the branch `autopilot` what it learned from."""
    (record,) = (site.folder / "releases/autopilot/passes").iterdir()
    told = json.loads(record.read_text())
    origin = site.folder / "origin.git"
    rows = run("git", "ls-tree", "--name-only", "autopilot", "data/incoming/", cwd=origin).stdout
    steps = [step["step"] for step in told["steps"] if step["ended"]]

    assert told["finished"]
    assert {"train", "gate"} <= set(steps)
    assert re.search(r"served-.*\.parquet\.dvc", rows), rows
    assert "autopilot" in run("git", "log", "-1", "--format=%an", "autopilot", cwd=origin).stdout
    assert "served" not in run("git", "ls-tree", "-r", "main", cwd=origin).stdout
    assert list((site.folder / "data").rglob("*")), "the rows did not reach the remote"


@pytest.fixture(scope="module")
def on_github(start: Started, tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("github")
    return site(start, folder, ci="github", level=4, use_case="velocity")


def test_github_deploy_brings_a_merge_to_production(on_github: Site) -> None:
    done = on_github.github("deploy", "push")

    assert done.returncode == 0, done.stdout
    assert [on_github.production()["serving"]] == on_github.candidates()
    assert (on_github.folder / "release/deployed/candidates").is_dir()


def test_github_monitor_looks_at_what_was_answered(on_github: Site) -> None:
    a_year_passes(on_github)

    done = on_github.github("monitor", "schedule")

    as_the_status_says(done, on_github.folder / "monitor/monitor")


def test_github_autopilot_makes_a_pass_and_pushes_its_branch(on_github: Site) -> None:
    done = on_github.github("autopilot", "schedule")

    assert done.returncode == 0, done.stdout
    went_through_a_pass(on_github)


def test_github_release_waits_in_the_shadow_until_it_is_approved(
    start: Started, tmp_path: Path
) -> None:
    here = site(start, tmp_path, ci="github", level=3, use_case="governance")
    version = ("--input", "version=1", "--input", "run=1")
    done = here.github("train", "workflow_dispatch")
    assert done.returncode == 0, done.stdout
    shutil.copy(tmp_path / "trained/mlflow.db", here.project.folder)
    validate(here.project)

    done = here.github("release", "workflow_dispatch", *version)
    assert done.returncode == 0, done.stdout
    (released,) = here.candidates()
    before = here.production()
    done = here.github("approve", "workflow_dispatch", *version)
    assert done.returncode == 0, done.stdout

    assert (before["serving"], before["shadow"]["release"]) == (None, released)
    assert here.production()["serving"] == released

    # The same applicant 600 times is worth a line in the audit log, where its key is.
    bundle = in_production(tmp_path / "releases")
    with serving(here.project, free_port(), **here.variables) as address:
        ask(address, [json.loads((bundle / "contract.json").read_text())["example"]] * 600)
    key = here.secrets.pop("AUDIT_PRIVATE_KEY")
    done = here.github("monitor", "schedule")
    assert done.returncode == 1, done.stdout
    assert "What was found is not in the audit log: there is no key" in done.stdout
    assert "monitored" not in here.events()
    here.secrets["AUDIT_PRIVATE_KEY"] = key
    done = here.github("monitor", "schedule")
    assert done.returncode == 1, done.stdout
    assert "monitored" in here.events()


@pytest.fixture(scope="module")
def on_gitlab(start: Started, tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("gitlab")
    return site(start, folder, ci="gitlab", level=4, use_case="velocity")


def test_gitlab_deploy_brings_a_merge_to_production(on_gitlab: Site, venv: Path) -> None:
    for job in ("release", "deploy"):
        done = on_gitlab.gitlab(job, venv)
        assert done.returncode == 0, done.stdout

    assert [on_gitlab.production()["serving"]] == on_gitlab.candidates()


def test_gitlab_monitor_looks_at_what_was_answered(on_gitlab: Site, venv: Path) -> None:
    a_year_passes(on_gitlab)

    done = on_gitlab.gitlab("monitor", venv)

    kept = on_gitlab.project.folder / ".gitlab-ci-local/artifacts/monitor"
    as_the_status_says(done, kept / "reports/monitor")


def test_gitlab_autopilot_makes_a_pass_and_pushes_its_branch(on_gitlab: Site, venv: Path) -> None:
    done = on_gitlab.gitlab("autopilot", venv)

    assert done.returncode == 0, done.stdout
    went_through_a_pass(on_gitlab)


def test_gitlab_release_waits_in_the_shadow_until_it_is_approved(
    start: Started, tmp_path: Path, venv: Path
) -> None:
    here = site(start, tmp_path, ci="gitlab", level=3, use_case="governance")
    done = here.gitlab("train", venv)
    assert done.returncode == 0, done.stdout
    trained = here.project.folder / ".gitlab-ci-local/artifacts/train"
    shutil.copy(trained / "mlflow.db", here.project.folder)
    validate(here.project)
    here.project.run("git push --quiet origin main")

    done = here.gitlab("release", venv, VERSION="1")
    assert done.returncode == 0, done.stdout
    (released,) = here.candidates()
    before = here.production()
    done = here.gitlab("approve", venv, VERSION="1")
    assert done.returncode == 0, done.stdout

    assert (before["serving"], before["shadow"]["release"]) == (None, released)
    assert here.production()["serving"] == released
