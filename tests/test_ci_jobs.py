"""The CI jobs of every vendor: where they run, and when."""

import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import GAMES, LEVELS, VENDORS, Render
from tests.parsing import AnyTag

Job = dict[str, Any]
FOLDERS = {"github": ".github/workflows", "gitlab": ".gitlab/ci", "azure": ".pipelines"}
# The variable that names the runner of a job before CI_RUNNER does.
OWN = {
    "production": "RUNNER",
    "deploy": "RUNNER",
    "monitor": "RUNNER",
    "autopilot": "RUNNER",
    "approve": "RUNNER",
    "promote": "RUNNER",  # Azure's name for it
    "staging": "STAGING_RUNNER",
    "sign": "SIGNING_RUNNER",
}
HOSTED = {"github": "ubuntu-latest", "gitlab": "", "azure": "ubuntu-24.04"}
# GitLab's runners that reach a folder have a tag, whatever runs the rest; it signs where it builds.
TAGS = {"RUNNER": "deploy", "STAGING_RUNNER": "staging"}


def read(path: Path) -> Any:
    """Read a YAML file with the words of CI vendors as text, `on` among them."""
    return yaml.load(re.sub("^on:", '"on":', path.read_text(), flags=re.MULTILINE), AnyTag)


def jobs_of(project: Path, ci: str) -> dict[str, Job]:
    """Collect the jobs that need a machine, by file and name: `deploy/sign`."""
    found: dict[str, Job] = {}
    for path in sorted((project / FOLDERS[ci]).glob("*.yml")):
        content = read(path)
        stages = content.get("stages", [content]) if ci == "azure" else []
        each = [job for stage in stages for job in stage["jobs"]]
        jobs = content.get("jobs", content) if ci != "azure" else {}
        jobs |= {job.get("job") or job["deployment"]: job for job in each}
        for name, job in jobs.items():
            # Another workflow, which has jobs of its own; a step of Azure's; words for other jobs.
            if "uses" not in job and job.get("pool") != "server" and not name.startswith("."):
                found[f"{path.stem}/{name}"] = job
    if "release/approve" in found:  # the rest of GitLab's, which merges the two
        found["approve/approve"] |= found.pop("release/approve")
    return found


def runner(project: Path, ci: str, job: Job, given: dict[str, str]) -> str:
    """Find the runner of a job where a team has set these variables."""
    if ci == "github":
        names = job["runs-on"].removeprefix("${{ ").removesuffix(" }}").split(" || ")
        values = [given.get(name.removeprefix("vars."), "") for name in names[:-1]]
        return next(filter(None, values), names[-1].strip("'"))
    if ci == "azure":
        set_here = read(project / ".pipelines/templates/variables.yml")["variables"]
        assert given.keys() <= set_here.keys()
        for condition, pool in job["pool"].items():
            names = re.findall(r"variables\.(\w+)", condition)
            if not names or given.get(names[0]):
                return str(pool.get("vmImage") or given[names[0]])
    whole = read(project / ".gitlab-ci.yml")
    included = [each for each in whole["include"] if not each["local"].startswith(".gitlab/ci/")]
    assert [{"if": "$CI_RUNNER"}] == included[0]["rules"]
    default = read(project / included[0]["local"])["default"] if given.get("CI_RUNNER") else {}
    (tag,) = job.get("tags") or default.get("tags") or [""]
    return {**whole["variables"], **given}[tag[1:]] if tag else ""


@pytest.fixture(params=product(VENDORS, GAMES, ["one", "teams"]), ids="-".join)
def whole(request: pytest.FixtureRequest, render: Render) -> tuple[Path, str]:
    """Render a project that has all jobs of a vendor and a game; give it and the vendor."""
    ci, use_case, team_size = request.param
    level = LEVELS[-1]
    return render(ci=ci, use_case=use_case, team_size=team_size, level=level), ci


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"CI_RUNNER": "ours"},
        {"CI_RUNNER": "ours", "RUNNER": "near", "STAGING_RUNNER": "far", "SIGNING_RUNNER": "safe"},
    ],
    ids=["none", "one", "each"],
)
def test_every_job_takes_its_runner_from_a_variable(
    whole: tuple[Path, str], given: dict[str, str]
) -> None:
    project, ci = whole
    jobs = jobs_of(project, ci)

    for name, job in jobs.items():
        own = OWN.get(name.split("/")[1], "CI_RUNNER")
        if ci == "gitlab" and own == "SIGNING_RUNNER":
            own = "CI_RUNNER"
        rest = TAGS.get(own) if ci == "gitlab" else None
        expected = given.get(own) or rest or given.get("CI_RUNNER") or HOSTED[ci]
        assert expected == runner(project, ci, job, given), name
    assert {"check/check", "audit/audit", "train/train", "monitor/monitor"} <= set(jobs)
