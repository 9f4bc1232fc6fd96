"""The CI jobs of every vendor: where they run, and when."""

import re
import subprocess
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
    result: dict[str, Job] = {}
    for path in sorted((project / FOLDERS[ci]).glob("*.yml")):
        content = read(path)
        stages = content.get("stages", [content]) if ci == "azure" else []
        each = [job for stage in stages for job in stage["jobs"]]
        jobs = content.get("jobs", content) if ci != "azure" else {}
        jobs |= {job.get("job") or job["deployment"]: job for job in each}
        for name, job in jobs.items():
            # Another workflow, which has jobs of its own; a step of Azure's; words for other jobs.
            if "uses" not in job and job.get("pool") != "server" and not name.startswith("."):
                result[f"{path.stem}/{name}"] = job
    if "release/approve" in result:  # the rest of GitLab's, which merges the two
        result["approve/approve"] |= result.pop("release/approve")
    return result


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


MAIN = {"CI_COMMIT_BRANCH": "main", "CI_DEFAULT_BRANCH": "main"}


def on_gitlab(job: Job, **given: str) -> Job:
    """Find the rule by which GitLab starts a job by itself where these variables are; or none."""
    for rule in job.get("rules", [{}]):
        text = re.sub(r"\$(\w+)", r"given.get('\1')", rule.get("if", "True"))
        text = text.replace("&&", " and ").replace("||", " or ").replace("null", "None")
        if eval(text, {"given": MAIN | given}):  # `changes` are there where nothing was pushed
            return rule if rule.get("when") != "manual" else {}
    return {}


def found_by(project: Path, job: Job, tmp_path: Path) -> str:
    """Run the steps of a job of GitHub's that are commands; give its outputs, as written."""
    for step in job["steps"]:
        if "run" in step:
            output = {"GITHUB_OUTPUT": str(tmp_path / "output")}
            subprocess.run(["bash", "-ec", step["run"]], cwd=project, env=output, check=True)
    return (tmp_path / "output").read_text() if (tmp_path / "output").exists() else ""


def checks_of_a_merge(project: Path, ci: str, tmp_path: Path) -> list[str]:
    """Name the jobs that run `poe check` on what was merged."""
    jobs = jobs_of(project, ci)
    result = [name for name, job in jobs.items() if "uv run poe check" in yaml.safe_dump(job)]
    if ci == "gitlab":
        return [name for name in result if on_gitlab(jobs[name], CI_PIPELINE_SOURCE="push")]
    files = {path.stem: read(path) for path in (project / FOLDERS[ci]).glob("*.yml")}
    if ci == "azure":
        assert "ResourceTrigger" not in yaml.safe_dump(jobs["check/check"])
        return [name for name in result if files[name.split("/")[0]]["trigger"] != "none"]
    result = [name for name in result if "push" in files[name.split("/")[0]]["on"]]
    assert jobs["check/find"]["if"] == "github.event_name == 'push'"
    assert jobs["check/find"]["outputs"] == {"deploys": "${{ steps.deploy.outputs.found }}"}
    elsewhere = found_by(project, jobs["check/find"], tmp_path) == "found=yes\n"
    condition = "${{ !cancelled() && needs.find.outputs.deploys != 'yes' }}"
    assert jobs["check/check"]["if"] == condition
    return [name for name in result if not (elsewhere and name == "check/check")]


@pytest.mark.parametrize("ci", VENDORS)
@pytest.mark.parametrize("use_case", GAMES)
@pytest.mark.parametrize("level", LEVELS[1:])
def test_what_was_merged_is_checked_once_and_before_it_is_deployed(
    render: Render, ci: str, use_case: str, level: int, tmp_path: Path
) -> None:
    project = render(ci=ci, use_case=use_case, level=level, team_size="one")
    deploys = use_case == "velocity" and level >= 3

    in_build = ci == "github" and deploys
    assert ["deploy/build" if in_build else "check/check"] == checks_of_a_merge(
        project, ci, tmp_path
    )
    if not deploys:
        return
    build = jobs_of(project, ci)["deploy/build"]
    commands = [str(step.get("run") or step.get("bash")) for step in build.get("steps", [])]
    if ci == "gitlab":
        assert ["check"] == build["needs"]
        return
    assert commands.index("uv run poe check") < commands.index("uv run poe pipeline")
    if ci == "azure":  # a run of this one begins with one of `check`, or by hand
        content = read(project / ".pipelines/deploy.yml")
        (resource,) = content["resources"]["pipelines"]
        assert ("check", "none") == (resource["source"], content["trigger"])
        assert ["main", "master"] == resource["trigger"]["branches"]["include"]
        (step,) = (step for step in build["steps"] if step.get("bash") == "uv run poe check")
        assert "ne(variables['Build.Reason'], 'ResourceTrigger')" in step["condition"]


@pytest.mark.parametrize("use_case", GAMES)
def test_a_schedule_of_gitlab_runs_its_job_and_nothing_before_there_is_a_release(
    render: Render, use_case: str
) -> None:
    project = render(ci="gitlab", use_case=use_case, level=LEVELS[-1], team_size="one")
    jobs = jobs_of(project, "gitlab")

    def started(**given: str) -> list[str]:
        # What needs a job that a person starts waits for that person.
        first = {name: job for name, job in jobs.items() if not job.get("needs")}
        return [name for name, job in first.items() if on_gitlab(job, **given)]

    for job in ("audit", "train", "monitor", "autopilot"):
        given = {"CI_PIPELINE_SOURCE": "schedule", "JOB": job}
        assert [f"{job}/{job}"] == started(**given, RELEASES="/srv/releases")
        begins = job in ("audit", "train")
        assert ([f"{job}/{job}"] if begins else []) == started(**given)


def test_what_runs_for_an_older_commit_ends(whole: tuple[Path, str]) -> None:
    project, ci = whole
    jobs = jobs_of(project, ci)

    if ci == "gitlab":
        workflow = read(project / ".gitlab-ci.yml")["workflow"]
        assert {"on_new_commit": "interruptible"} == workflow["auto_cancel"]
        assert jobs["check/check"]["interruptible"]
        rule = on_gitlab(jobs["audit/audit"], CI_PIPELINE_SOURCE="merge_request_event")
        assert rule["interruptible"]
    for name in ("check", "audit") if ci != "gitlab" else ():
        content = read(project / FOLDERS[ci] / f"{name}.yml")
        if ci == "azure":  # which starts the next run when the one before has ended
            assert "true" == content["trigger"]["batch"]
        else:
            assert f"{name}-${{{{ github.ref }}}}" == content["concurrency"]["group"]
            assert content["concurrency"]["cancel-in-progress"] is True


def test_training_under_governance_ends_with_the_groups_compared_with_the_plan(
    whole: tuple[Path, str],
) -> None:
    project, ci = whole
    job = jobs_of(project, ci)["train/train"]
    steps = job["script"] if ci == "gitlab" else job["steps"]
    commands = [step if isinstance(step, str) else str(step) for step in steps]

    governed = (project / "governance").is_dir()
    assert ("rung-ops fairness-check" in commands[-1]) == governed
    # What was made is there to look at where the step fails.
    if ci == "gitlab":
        assert (job["artifacts"].get("when") == "always") == governed
    else:
        kept = next(n for n, each in enumerate(commands) if "upload" in each or "publish" in each)
        assert kept == len(commands) - 1 - governed


def test_what_reads_the_prediction_log_under_governance_gets_its_keys(
    whole: tuple[Path, str],
) -> None:
    project, ci = whole
    governed = (project / "governance").is_dir()
    jobs = jobs_of(project, ci)
    # GitLab gives every variable to every job.
    given = {"github": "${{ secrets.LOG_KEYS }}", "azure": "$(LOG_KEYS)"}.get(ci)

    for name in ("monitor", "autopilot") if given else ():
        job = jobs[f"{name}/{name}"]
        (step,) = [each for each in job["steps"] if f"uv run poe {name}" in str(each)]
        assert step["env"].get("LOG_KEYS") == (given if governed else None)
    for name in ("monitor", "autopilot"):
        text = (project / FOLDERS[ci] / f"{name}.yml").read_text()
        assert ("LOG_KEYS" in text) == governed


def test_the_release_key_is_in_the_job_that_signs_and_runs_nothing_else(
    whole: tuple[Path, str],
) -> None:
    project, ci = whole
    jobs = {name: yaml.safe_dump(job, width=1000) for name, job in jobs_of(project, ci).items()}
    holders = {
        name
        for name, job in jobs.items()
        if "RELEASE_PRIVATE_KEY" in job or re.search(r"(environment|group): signing", job)
    }
    sign = "release/sign" if (project / "governance").is_dir() else "deploy/sign"

    # A pass of the autopilot releases by itself: it says so.
    assert {sign, "autopilot/autopilot"} == holders
    assert "rung-ops sign" in jobs[sign]
    assert "--only-group rung-3-sign" in jobs[sign]
    assert not re.search(r"uv sync|poe |dvc ", jobs[sign])


@pytest.mark.parametrize(
    "whole", list(product(["github"], GAMES, ["one", "teams"])), ids="-".join, indirect=True
)
def test_github_staging_never_runs_where_production_is_reached(whole: tuple[Path, str]) -> None:
    project, ci = whole
    file = "release" if (project / "governance").is_dir() else "deploy"
    jobs = {
        name.removeprefix(f"{file}/"): yaml.safe_dump(job, width=1000)
        for name, job in jobs_of(project, ci).items()
        if name.startswith(f"{file}/")
    }
    reaching = {
        name for name, job in jobs.items() if "vars.RUNNER" in job or "vars.RELEASES" in job
    }

    assert {"production"} == reaching
    assert "vars.STAGING_RUNNER" in jobs["staging"]
    assert "environment: production" in jobs["production"]
