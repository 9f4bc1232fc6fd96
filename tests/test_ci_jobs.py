"""The CI jobs of every vendor: where they run, in which order, and which of them hold which key.

Vendors are read from levels/ci/. What only one vendor has is tested for that vendor.
"""

import re
import subprocess
from collections.abc import Iterator
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from tests.conftest import CI, GAMES, LEVELS, SYNTAX, VENDORS, Render
from tests.parsing import AnyTag

RUNNER = re.compile(r"\b(?:\w+_)?RUNNER\b")
# The variable that names the runner of a job, before CI_RUNNER; jobs that reach production have their own.
OWN = dict.fromkeys(
    ("production", "deploy", "monitor", "autopilot", "approve", "promote"), "RUNNER"
) | {"staging": "STAGING_RUNNER"}
COMMANDS = re.compile("^ *(steps|script):", re.MULTILINE)
every_vendor = pytest.mark.parametrize("ci", VENDORS)
every_game = pytest.mark.parametrize("use_case", GAMES)


def read(path: Path) -> Any:
    return yaml.load(re.sub("^on:", '"on":', path.read_text(), flags=re.MULTILINE), AnyTag)


def jobs_in(content: Any, name: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the jobs in a part of a file with their names; jobs have steps or a script."""
    if isinstance(content, list):
        for part in content:
            yield from jobs_in(part)
    elif isinstance(content, dict) and content.get("pool") != "server":
        name = content.get("job") or content.get("deployment") or name
        if {"steps", "script", "strategy", "tags"} & content.keys() and not name.startswith("."):
            yield name, content
        else:
            for key, part in content.items():
                yield from jobs_in(part, key)


def steps_in(content: Any) -> Iterator[dict[str, Any]]:
    """Yield the steps of a job that run a script, also those of a strategy."""
    if isinstance(content, list):
        for part in content:
            yield from steps_in(part)
    elif isinstance(content, dict):
        if {"run", "bash"} & content.keys():
            yield content
        else:
            yield from steps_in(list(content.values()))


def files_of_jobs(project: Path, ci: str) -> list[Path]:
    """List the files of a vendor's jobs, which are in one folder."""
    return sorted((project / PurePosixPath(CI[ci].jobs["check"]).parent).glob("*.yml"))


def jobs_of(project: Path, ci: str) -> dict[str, str]:
    """Read the jobs that need a machine as text, by file and name: `deploy/sign`."""
    result = {
        f"{path.stem}/{name}": yaml.safe_dump(job, width=1000, sort_keys=False)
        for path in files_of_jobs(project, ci)
        for name, job in jobs_in(read(path))
    }
    for name in [name for name, job in result.items() if not COMMANDS.search(job)]:
        rest = result.pop(name)  # of a job of the same name in another file
        (other,) = (job for job in result if PurePosixPath(job).name == PurePosixPath(name).name)
        result[other] += rest
    return result


@pytest.fixture(params=product(VENDORS, GAMES, ["one", "teams"]), ids="-".join)
def full_project(request: pytest.FixtureRequest, render: Render) -> tuple[Path, str]:
    """Render a project with all jobs of a vendor and a game; return it and the vendor."""
    ci, use_case, team_size = request.param
    return render(ci=ci, use_case=use_case, team_size=team_size, level=LEVELS[-1]), ci


def test_every_job_takes_its_runner_from_a_variable(full_project: tuple[Path, str]) -> None:
    project, ci = full_project
    jobs = jobs_of(project, ci)
    owned = [claim.path for claims in CI[ci].owns.values() for claim in claims]
    others = [project / path for path in owned if (project / path).is_file()]
    for_all = any("CI_RUNNER" in path.read_text() for path in others if "ci" in str(path))

    assert {"check/check", "audit/audit", "train/train", "monitor/monitor"} <= set(jobs)
    for name, job in jobs.items():
        named = dict.fromkeys(RUNNER.findall(job))
        own = OWN.get(name.split("/")[1], "CI_RUNNER")
        if name.endswith("/sign") and CI[ci].runner:  # otherwise it runs on the vendor's machines
            own = "SIGNING_RUNNER"
        assert own == next(iter(named), "CI_RUNNER"), name
        assert "CI_RUNNER" in named or for_all, name
        assert CI[ci].runner in job, name


@every_vendor
@every_game
@pytest.mark.parametrize("level", LEVELS[1:])
def test_what_was_merged_is_checked_before_it_is_deployed(
    render: Render, ci: str, use_case: str, level: int
) -> None:
    jobs = jobs_of(render(ci=ci, use_case=use_case, level=level, team_size="one"), ci)
    deploys = use_case == "velocity" and level >= 3

    assert "uv run poe check" in jobs["check/check"]
    assert deploys == ("deploy/build" in jobs)
    build = jobs.get("deploy/build", "needs:\n- check\n")
    assert re.search(r"needs:\n- check\n|poe check\n.*poe pipeline\n", build, re.DOTALL)


@every_game
@pytest.mark.parametrize("level", [2, 4])
def test_github_checks_a_merge_once_where_a_deployment_checks_it_too(
    render: Render, tmp_path: Path, use_case: str, level: int
) -> None:
    project = render(ci="github", use_case=use_case, level=level, team_size="one")
    jobs = read(project / CI["github"].jobs["check"])["jobs"]
    output = tmp_path / "output"
    output.touch()
    for step in jobs["find"]["steps"]:
        if "run" in step:
            variables = {"GITHUB_OUTPUT": str(output)}
            subprocess.run(["bash", "-ec", step["run"]], cwd=project, env=variables, check=True)

    deploys = use_case == "velocity" and level == 4
    assert ("found=yes\n" if deploys else "") == output.read_text()
    assert "${{ !cancelled() && needs.find.outputs.deploys != 'yes' }}" == jobs["check"]["if"]


def starts_by_itself(job: dict[str, Any], **variables: str) -> bool:
    """Return whether a rule of GitLab starts a job automatically when these variables are set."""
    variables |= {"CI_COMMIT_BRANCH": "main", "CI_DEFAULT_BRANCH": "main"}
    for rule in job.get("rules", [{}]):
        text = re.sub(r"\$(\w+)", r"variables.get('\1')", rule.get("if", "True"))
        text = text.replace("&&", " and ").replace("||", " or ").replace("null", "None")
        if eval(
            text, {"variables": variables}
        ):  # `changes` holds for every pipeline that is not a push
            return bool(rule.get("when") != "manual")
    return False


@every_game
def test_a_schedule_of_gitlab_runs_its_job_and_nothing_before_there_is_a_release(
    render: Render, use_case: str
) -> None:
    project = render(ci="gitlab", use_case=use_case, level=LEVELS[-1], team_size="one")
    all_jobs = (job for path in files_of_jobs(project, "gitlab") for job in jobs_in(read(path)))
    # Jobs that need a manual job wait for the person who starts it.
    first = {name: job for name, job in all_jobs if "script" in job and not job.get("needs")}

    for scheduled in ("audit", "train", "monitor", "autopilot"):
        for releases in ({"RELEASES": "/srv/releases"}, {}):
            variables = {"CI_PIPELINE_SOURCE": "schedule", "JOB": scheduled} | releases
            started = [name for name, job in first.items() if starts_by_itself(job, **variables)]
            begins = scheduled in ("audit", "train") or releases
            assert ([scheduled] if begins else []) == started


@every_vendor
def test_what_runs_for_an_older_commit_ends(render: Render, ci: str) -> None:
    project = render(ci=ci, level=1)

    for job in ("check", "audit"):
        assert SYNTAX[ci]["ends"] in (project / CI[ci].jobs[job]).read_text()


@every_vendor
def test_what_was_trained_is_kept_where_the_groups_differ_too_much(render: Render, ci: str) -> None:
    job = jobs_of(render(ci=ci, use_case="governance", level=2), ci)["train/train"]

    keeps = SYNTAX[ci]["keeps"]
    kept, _, later = job.partition("rung-ops fairness-check")
    assert keeps in (later if "always" in keeps else kept)


def test_under_governance_training_compares_groups_and_readers_of_the_log_get_its_keys(
    full_project: tuple[Path, str],
) -> None:
    project, ci = full_project
    governed = (project / "governance").is_dir()
    train = jobs_of(project, ci)["train/train"]

    assert governed == ("rung-ops fairness-check" in train.partition("uv run poe pipeline")[2])
    for name in ("monitor", "autopilot"):
        assert governed == ("LOG_KEYS" in (project / CI[ci].jobs[name]).read_text()), name


def test_the_release_key_is_in_the_job_that_signs_and_runs_nothing_else(
    full_project: tuple[Path, str],
) -> None:
    project, ci = full_project
    jobs = jobs_of(project, ci)
    holds_key = re.compile(r"RELEASE_PRIVATE_KEY|(environment|group): signing")
    sign = "release/sign" if (project / "governance").is_dir() else "deploy/sign"

    # A pass of the autopilot releases by itself: it says so.
    assert {sign, "autopilot/autopilot"} == {n for n, job in jobs.items() if holds_key.search(job)}
    assert "rung-ops sign" in jobs[sign]
    assert "--only-group rung-3-sign" in jobs[sign]
    assert not re.search(r"uv sync|poe |dvc ", jobs[sign])


def test_the_key_of_the_audit_log_is_in_jobs_with_an_environment_of_their_own(
    full_project: tuple[Path, str],
) -> None:
    project, ci = full_project
    jobs = jobs_of(project, ci)
    monitor, governed = jobs["monitor/monitor"], (project / "governance").is_dir()

    assert bool(re.search(r"(environment|group|name): audit\b", monitor)) == governed
    holders = {n for n, job in jobs.items() if "AUDIT_PRIVATE_KEY" in job}
    # GitLab's jobs have the variables of their environment without a line.
    assert bool(holders) == (governed and ci != "gitlab")
    assert all(re.search(r"environment:|group: audit", jobs[name]) for name in holders)


@every_vendor
@pytest.mark.parametrize("team_size", ["one", "teams"])
def test_before_there_is_a_key_a_merge_is_built_and_the_rest_is_skipped(
    render: Render, ci: str, team_size: str
) -> None:
    (deploy,) = render(ci=ci, team_size=team_size, level=3).rglob(".*/**/deploy.yml")
    text, condition = deploy.read_text(), SYNTAX[ci]["with_key"]

    assert "No key yet: run uv run poe keys" in text
    assert condition in text
    for name, job in jobs_in(
        read(deploy)
    ):  # after a skipped job, one without a condition is skipped
        own = [job[key] for key in ("if", "condition", "rules") if key in job]
        if own and name in ("sign", "staging", "production", "deploy"):
            assert re.sub("['\"]", "", condition) in re.sub("['\"]", "", str(own)), name


def test_staging_never_reaches_production(full_project: tuple[Path, str]) -> None:
    (staging,) = (job for name, job in jobs_of(*full_project).items() if name.endswith("/staging"))

    assert "STAGING_RELEASES" in staging
    assert not re.search(r"(vars\.|\$\()RELEASES\b", staging)


@pytest.mark.parametrize("ci", [ci for ci in VENDORS if SYNTAX[ci]["stores"]])
@pytest.mark.parametrize("team_size", ["one", "teams"])
def test_a_step_that_reads_releases_or_the_log_reaches_the_bucket_that_they_may_be_in(
    render: Render, ci: str, team_size: str
) -> None:
    project = render(ci=ci, use_case="velocity", level=LEVELS[-1], team_size=team_size)
    found, stores = [], set(SYNTAX[ci]["stores"])
    for path in files_of_jobs(project, ci):
        for name, job in jobs_in(read(path)):
            for step in steps_in(job):
                if re.search(r"poe (--quiet releases|deploy|monitor|autopilot)", str(step)):
                    found.append(name)
                    env = job.get("env", {}) | step.get("env", {})
                    assert stores <= set(env), (name, step)
                    at_step = set(step.get("env", {})) if "env" in job else set()
                    assert not at_step & stores, "a role's keys are the job's"

    assert set(found) == {"staging", "production", "monitor", "autopilot"}


@every_vendor
@pytest.mark.parametrize("orchestrator", ["airflow", "none"])
def test_another_orchestrator_takes_the_schedule_from_a_job_and_nothing_else(
    render: Render, ci: str, orchestrator: str
) -> None:
    answers = {"ci": ci, "level": LEVELS[-1], "use_case": "velocity"}
    projects = render(**answers), render(**answers, orchestrator=orchestrator)

    for job in ("train", "monitor", "autopilot"):
        before, after = (
            (project / CI[ci].jobs[job]).read_text().splitlines() for project in projects
        )
        assert any("schedule" in line for line in before if line not in after), job
        assert set(after) <= set(before)
        acts = [line for line in after if not line.lstrip().startswith("#")]
        assert not any("cron" in line or '"schedule"' in line for line in acts), job
