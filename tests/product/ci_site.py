"""The generated CI really runs: a workflow with act, a job with gitlab-ci-local, and their site."""

import base64
import json
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.product.conftest import Started, commit, run, search_path, tool
from tests.product.serving import free_port
from tests.product.variants import Project, ask, promise_less, serving

STUBS = Path(__file__).parent / "stubs"
# act takes the checkout from the folder itself.
ACTION = re.compile(r"uses: ((?!actions/checkout@)([\w-]+)/([\w-]+)@\w+)")
BROKEN = "\n\ndef test_that_is_broken_on_purpose():\n    assert [] == [1]\n"
TRAINED = ("model/model.skops", "reports/metrics.json", "reports/report.html", "mlflow.db")


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


@dataclass
class Site:
    """A project whose jobs share folders with the service, as on a runner of one's own.

    Attributes:
        project: what is checked out.
        folder: holds the folders of the service, and the artefacts.
        secrets: the private keys, which are nowhere else.
        model: folder of the one that is looked at.
    """

    project: Project
    folder: Path
    secrets: dict[str, str]
    model: str = "."

    def of(self, model: str) -> "Site":
        """Look at another model of the project."""
        return replace(self, model=model)

    @property
    def home(self) -> Project:
        """Stand where the model lies."""
        return Project(self.project.folder / self.model)

    @property
    def releases(self) -> Path:
        """Find the model's releases on the runner."""
        return self.folder / "releases" / self.model

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
        return sorted(path.name for path in (self.releases / "candidates").glob("[!.]*"))

    def production(self) -> dict[str, Any]:
        """Read what production is to do."""
        text = (self.releases / "production/state.json").read_text()
        state: dict[str, Any] = json.loads(text)
        return state

    def waiting(self) -> list[str]:
        """Name the releases that came to production, where none has ever answered."""
        folder = self.releases / "production"
        assert not (folder / "state.json").exists()
        return sorted(path.name for path in (folder / "bundles").iterdir() if path.is_dir())

    def events(self) -> list[str]:
        """Name what stands in the audit log of production, oldest first."""
        lines = (self.releases / "production/history.jsonl").read_text().splitlines()
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
    # The job `check` tries what is in there. Each model is held against these two.
    for path in (project.folder / "ops/tests").iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in ("__init__.py", "conftest.py", "test_contract.py", "test_data.py"):
            path.unlink()
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
outcomes.mkdir(parents=True)
rows.write_parquet(outcomes / "next_year.parquet")
print(rows.drop(contract.TARGET).write_json())
"""


def a_year_passes(site: Site) -> None:
    """Let the service answer for some rows, and their outcomes arrive."""
    program = site.home.folder / "next_year.py"
    program.write_text(NEXT_YEAR)
    python = f"PYTHONPATH={site.project.folder} uv run --quiet python"
    said = site.home.run(f"{python} next_year.py {site.folder / 'outcomes' / site.model}")
    program.unlink()
    with serving(site.home, free_port(), **site.variables) as address:
        ask(address, json.loads(said.splitlines()[-1]))


def as_the_status_says(
    done: subprocess.CompletedProcess[str], reports: Path, may_fail: bool = False
) -> None:
    """Hold the outcome of the job `monitor` against the report that it keeps.

    Args:
        done: the job.
        reports: what it kept.
        may_fail: whether its failure is none of the pipeline, as of a job started by hand.
    """
    problems = json.loads((reports / "status.json").read_text())["problems"]
    assert done.returncode == (1 if problems and not may_fail else 0), done.stdout
    assert all(problem in done.stdout for problem in problems), done.stdout
    assert (reports / "report.html").stat().st_size > 5_000


def went_through_a_pass(site: Site) -> None:
    """Find what a pass leaves: its journal, and on the branch `autopilot` what it learned from."""
    (record,) = (site.releases / "autopilot/passes").iterdir()
    told = json.loads(record.read_text())
    origin = site.folder / "origin.git"
    incoming = f"{(Path(site.model) / 'data/incoming').as_posix()}/"
    rows = run("git", "ls-tree", "--name-only", "autopilot", incoming, cwd=origin).stdout
    steps = [step["step"] for step in told["steps"] if step["ended"]]

    assert told["finished"]
    assert {"train", "gate"} <= set(steps)
    assert re.search(r"served-.*\.parquet\.dvc", rows), rows
    assert "autopilot" in run("git", "log", "-1", "--format=%an", "autopilot", cwd=origin).stdout
    assert "served-" not in run("git", "ls-tree", "-r", "main", cwd=origin).stdout
    assert list((site.folder / "data").rglob("*")), "the rows did not reach the remote"
