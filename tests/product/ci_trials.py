"""What the jobs of a project have to bring about, whichever vendor runs them."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.product.ci_site import Done, Site
from tests.product.conftest import environment, run
from tests.product.flown import ANSWERED, CREDITS, EAGER, FEW, LENIENT, override, take_few_credits
from tests.product.processes import end_group, receiving, start_process
from tests.product.serving import free_port
from tests.product.variants import answers, ask, serving, validate

# Runs a job by its name, with the inputs that a person would give.
Job = Callable[..., Done]
TRAINED = ("model/model.skops", "reports/metrics.json", "reports/report.html", "mlflow.db")


FOUND = "OSV-2026-1"


@contextmanager
def advisories(vulnerable: str) -> Iterator[dict[str, str]]:
    """Answer what osv.dev would, and give the variables by which `pip-audit` asks there."""
    known = {"vulns": [{"id": FOUND, "summary": "Made up.", "affected": []}]}
    with receiving(lambda asked: known if asked["package"]["name"] == vulnerable else {}) as url:
        yield {"PIP_AUDIT_VULNERABILITY_SERVICE": "osv", "PIP_AUDIT_OSV_URL": f"{url}/v1/query"}


def audits(job: Job) -> None:
    """Find that the job `audit` fails for a package that something is known about, and only then."""
    with advisories("") as variables:
        done = job("audit", **variables)
    assert done.returncode == 0, done.stdout
    assert "No known vulnerabilities found" in done.stdout

    with advisories("polars") as variables:
        done = job("audit", **variables)
    assert done.returncode == 1, done.stdout
    # There may be links around the words, as a terminal shows them.
    assert re.search(rf"(?m)^.*polars.*{FOUND}", done.stdout), done.stdout


def trains(job: Job, folder: Path, kept: str) -> Path:
    """Run the job `train`, and find what it has to keep."""
    done = job("train")
    assert done.returncode == 0, done.stdout
    (directory,) = folder.glob(kept)
    for made in TRAINED:
        assert (directory / made).is_file(), made
    return directory


def brings_a_first_release(site: Site, job: Job, folder: Path, kept: str) -> None:
    """Train, validate, release and approve, which is refused before."""
    # A validator takes what the train run made, and makes the rows that it was judged on: without
    # them the gate cannot be asked, and no record is begun.
    shutil.copytree(trains(job, folder, kept), site.home.folder, dirs_exist_ok=True)
    done = job("approve", version="1")
    assert "there is no validation of version 1" in done.stdout, done.stdout
    # GitLab tells of a job that a person starts by hand and that fails as a warning.
    assert done.returncode == 1 or re.search("approve.* finished .* WARN 1", done.stdout)
    site.home.run("uv run dvc repro split && git checkout --quiet -- .")
    validate(site.home)
    site.project.run("git push --quiet origin main")

    done = job("release", version="1")
    assert done.returncode == 0, done.stdout
    assert len(site.candidates()) == 1, done.stdout
    (released,) = site.candidates()
    assert site.waiting() == [released]
    done = job("approve", version="1")
    assert done.returncode == 0, done.stdout
    assert (site.releases / "production/state.json").exists(), done.stdout
    assert site.production()["serving"] == released


# Rows of a year that the model has not seen, and what became of them.
NEXT_YEAR = """
import sys
from datetime import timedelta
from pathlib import Path
import polars as pl
from rung_ops import contract
from rung_ops.project.paths import raw_files
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
    output = site.home.run(f"{python} next_year.py {site.folder / 'outcomes' / site.model}")
    program.unlink()
    with serving(site.home, free_port(), **site.variables) as address:
        ask(address, json.loads(output.splitlines()[-1]))


def as_the_status_says(done: Done, reports: Path, may_fail: bool = False) -> None:
    """Hold the outcome of the job `monitor` against the report that it keeps."""
    problems = json.loads((reports / "status.json").read_text())["problems"]
    assert done.returncode == (1 if problems and not may_fail else 0), done.stdout
    assert all(problem in done.stdout for problem in problems), done.stdout
    assert (reports / "report.html").stat().st_size > 5_000


def went_through_a_pass(site: Site) -> dict[str, Any]:
    """Find what a pass leaves: its journal, and on the branch `autopilot` what it learned from."""
    (record,) = (site.releases / "autopilot/passes").iterdir()
    data: dict[str, Any] = json.loads(record.read_text())
    origin = site.folder / "origin.git"
    incoming = f"{(Path(site.model) / 'data/incoming').as_posix()}/"
    rows = run("git", "ls-tree", "--name-only", "autopilot", incoming, cwd=origin).stdout
    steps = [step["step"] for step in data["steps"] if step["ended"]]

    assert data["finished"]
    assert {"train", "gate"} <= set(steps)
    assert re.search(r"served-.*\.parquet\.dvc", rows), rows
    assert "autopilot" in run("git", "log", "-1", "--format=%an", "autopilot", cwd=origin).stdout
    assert "served-" not in run("git", "ls-tree", "-r", "main", cwd=origin).stdout
    assert list((site.folder / "data").rglob("*")), "the rows did not reach the remote"
    return data


# Put into the project's package: notes in which job it was imported, and whether that job had the key.
NOTE = """import os
from pathlib import Path

if folder := os.environ.get("NOTES", os.environ.get("ARTIFACTS")):
    job = os.environ.get("GITHUB_JOB") or os.environ.get("CI_JOB_NAME", "none")
    has_key = "RELEASE_PRIVATE_KEY" in os.environ
    Path(folder, f"imported-in-{job}").write_text(str(has_key))
"""


def watch_imports(folder: Path) -> None:
    """Let the project's package note each job that imports it."""
    (package,) = (folder / "src").glob("*/__init__.py")
    package.write_text(NOTE)


def ran_the_project_without_the_key(notes: Path, jobs: set[str]) -> None:
    """Find that the project's package was imported in these jobs, and never beside the key."""
    result = {path.name.removeprefix("imported-in-"): path for path in notes.glob("imported-in-*")}

    assert jobs == set(result)
    assert {"False"} == {path.read_text() for path in result.values()}


def take_few(folder: Path) -> None:
    """Leave rows out that will be answered, and make those few a reason to train."""
    take_few_credits(folder)
    override(folder, *LENIENT, *EAGER)


PATIENCE = 300.0  # seconds for MLflow to load on a machine that does much


@contextmanager
def mlflow_server(project: Path) -> Iterator[str]:
    """Start the registry of a project as a server; give its address."""
    port = free_port()
    command = [
        *(str(project / ".venv/bin/mlflow"), "server"),
        *("--backend-store-uri", f"sqlite:///{project}/mlflow.db"),
        *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
    ]
    variables = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    server = start_process(command, project, Path(os.devnull), environment(**variables))
    address = f"http://127.0.0.1:{port}"
    try:
        assert answers(f"{address}/health", PATIENCE)
        yield address
    finally:
        end_group(server)


def waits_for_a_person(site: Site, job: Job) -> None:
    serving_before = site.production()["serving"]
    until = datetime.now(UTC).replace(tzinfo=None)
    days = [(until - timedelta(days=days)).date().isoformat() for days in (7, 1)]
    variables = " ".join(f"{name}={value}" for name, value in site.variables.items())
    site.home.run(
        f"{variables} uv run --quiet python {ANSWERED} {CREDITS} {' '.join(days)} --after {FEW}"
    )
    outcomes = site.home.folder / "data/outcomes"
    shutil.move(outcomes, site.folder / "outcomes")

    # Under governance the parameters of the serving version are looked up, so somebody has to keep
    # them: the registry of a job is as new as its checkout.
    with mlflow_server(site.project.folder) as site.server:
        done = job("autopilot")
    site.server = ""

    assert done.returncode == 0, done.stdout
    assert went_through_a_pass(site)["outcome"] == "waits for approval"
    now = site.production()
    assert now["serving"] == serving_before
    assert now["shadow"]["release"] in site.candidates()
    assert now["shadow"]["release"] != serving_before
