"""GitHub's workflows of a project, run with act."""

import json
from pathlib import Path

import pytest

from tests.product.ci_site import Done, Site, break_a_test, github, job_of_github, site
from tests.product.ci_trials import (
    a_year_passes,
    as_the_status_says,
    audits,
    brings_a_first_release,
    ran_the_project_without_the_key,
    take_few,
    waits_for_a_person,
    watch_imports,
    went_through_a_pass,
)
from tests.product.conftest import Started, commit
from tests.product.serving import free_port
from tests.product.variants import ask, in_production, serving

pytestmark = pytest.mark.slow


def test_github_check_passes_as_generated(start: Started, tmp_path: Path) -> None:
    done = github(start(ci="github", level=1, use_case="velocity"), "check", "push", tmp_path)

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


def test_github_audit_fails_for_a_package_that_something_is_known_about(
    start: Started, tmp_path: Path
) -> None:
    project = start(ci="github", level=1, use_case="velocity")

    def job(name: str, **variables: str) -> Done:
        given = [part for pair in variables.items() for part in ("--env", "=".join(pair))]
        return github(project, name, "workflow_dispatch", tmp_path, *given)

    audits(job)


@pytest.fixture(scope="module")
def on_github(start: Started, tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("github")
    return site(start, folder, watch_imports, ci="github", level=4, use_case="velocity")


@pytest.mark.every_commit
def test_github_deploy_takes_a_merge_to_production(on_github: Site) -> None:
    """On rung 3 the workflow is the same file, as on every rung that has it (test_template.py)."""
    done = on_github.github("deploy", "push")

    assert done.returncode == 0, done.stdout
    assert [on_github.production()["serving"]] == on_github.candidates()
    ran_the_project_without_the_key(on_github.folder, {"build", "staging", "production"})
    (built,) = (on_github.folder / "built/deployed/candidates").glob("[!.]*")
    assert not (built / "model.sig").exists()
    assert (on_github.folder / "release/deployed/candidates" / built.name / "model.sig").is_file()


@pytest.mark.every_commit
def test_github_monitor_looks_at_what_was_answered(on_github: Site) -> None:
    a_year_passes(on_github)

    done = on_github.github("monitor", "schedule")

    as_the_status_says(done, on_github.folder / "monitor")


@pytest.mark.every_commit
def test_github_autopilot_makes_a_pass_and_pushes_its_branch(on_github: Site) -> None:
    done = on_github.github("autopilot", "schedule")

    assert done.returncode == 0, done.stdout
    went_through_a_pass(on_github)


def test_github_under_governance_a_person_decides(start: Started, tmp_path: Path) -> None:
    def prepare(folder: Path) -> None:
        take_few(folder)
        watch_imports(folder)

    here = site(start, tmp_path, prepare, ci="github", level=4, use_case="governance")
    job = job_of_github(here.github)
    brings_a_first_release(here, job, tmp_path, "trained")
    jobs = {"train", "build", "staging", "production", "approve"}
    ran_the_project_without_the_key(tmp_path, jobs)
    waits_for_a_person(here, job)

    # The same applicant 600 times is worth a line in the audit log, where its key is.
    bundle = in_production(tmp_path / "releases")
    with serving(here.project, free_port(), **here.variables) as address:
        ask(address, [json.loads((bundle / "contract.json").read_text())["example"]] * 600)
    reported = here.events().count("monitored")
    key = here.secrets.pop("AUDIT_PRIVATE_KEY")
    done = here.github("monitor", "schedule")
    assert done.returncode == 1, done.stdout
    assert "Findings of the monitor are not in the audit log: there is no key" in done.stdout
    assert here.events().count("monitored") == reported
    here.secrets["AUDIT_PRIVATE_KEY"] = key
    done = here.github("monitor", "schedule")
    assert done.returncode == 1, done.stdout
    assert here.events().count("monitored") == reported + 1
