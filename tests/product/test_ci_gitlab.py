"""GitLab's jobs of a project, run with gitlab-ci-local."""

from pathlib import Path

import pytest

from tests.product.ci_site import RELEASE_JOBS, Site, break_a_test, gitlab, job_of_gitlab, site
from tests.product.ci_trials import (
    a_year_passes,
    as_the_status_says,
    audits,
    brings_a_first_release,
    ran_the_project_without_the_key,
    watch_imports,
    went_through_a_pass,
)
from tests.product.conftest import Started

pytestmark = pytest.mark.slow

TRAINED = ".gitlab-ci-local/artifacts/train"


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


def test_gitlab_audit_fails_for_a_package_that_something_is_known_about(
    start: Started, venv: Path
) -> None:
    project = start(ci="gitlab", level=1, use_case="governance")

    audits(lambda name, **variables: gitlab(project, name, venv, **variables))


@pytest.fixture(scope="module")
def on_gitlab(start: Started, tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("gitlab")
    return site(start, folder, watch_imports, ci="gitlab", level=4, use_case="velocity")


def test_gitlab_deploy_takes_a_merge_to_production(on_gitlab: Site, venv: Path) -> None:
    """On rung 3 the jobs are the same files, as on every rung that has them (test_template.py)."""
    for job in RELEASE_JOBS:
        done = on_gitlab.gitlab(job, venv, NOTES=str(on_gitlab.folder))
        assert done.returncode == 0, done.stdout

    assert [on_gitlab.production()["serving"]] == on_gitlab.candidates()
    ran_the_project_without_the_key(on_gitlab.folder, {"build", "staging", "deploy"})


def test_gitlab_monitor_looks_at_what_was_answered(on_gitlab: Site, venv: Path) -> None:
    a_year_passes(on_gitlab)

    done = on_gitlab.gitlab("monitor", venv)

    kept = on_gitlab.project.folder / ".gitlab-ci-local/artifacts/monitor"
    as_the_status_says(done, kept / "reports/monitor", may_fail=True)


def test_gitlab_autopilot_makes_a_pass_and_pushes_its_branch(on_gitlab: Site, venv: Path) -> None:
    done = on_gitlab.gitlab("autopilot", venv)

    assert done.returncode == 0, done.stdout
    went_through_a_pass(on_gitlab)


@pytest.mark.every_commit
def test_gitlab_under_governance_a_person_decides(
    start: Started, tmp_path: Path, venv: Path
) -> None:
    """What the autopilot does next does not depend on the vendor; test_ci_github.py covers it."""
    here = site(start, tmp_path, ci="gitlab", level=3, use_case="governance")
    job = job_of_gitlab(here.gitlab, venv)
    brings_a_first_release(here, job, here.project.folder, TRAINED)
