"""The jobs of a project with several models, run for the second one: GitHub's and GitLab's."""

from pathlib import Path

import pytest

from tests.product.ci_site import RELEASE_JOBS, Site, job_of_github, site
from tests.product.ci_trials import brings_a_first_release
from tests.product.conftest import Started
from tests.product.flown import override
from tests.product.test_models import ITS_OWN_PLAN
from tests.product.variants import Project

pytestmark = pytest.mark.slow

SECOND = "models/cancellations"
GOVERNED = "models/household_credits"
GOVERNED_NAME = "credit-risk-household_credits"


def its_own_plan(project: Path) -> None:
    """Bring the documents of the second model, and say what its team has agreed on."""
    Project(project).run("uv run poe models")
    override(project / GOVERNED, ITS_OWN_PLAN)


@pytest.fixture(scope="module")
def on_gitlab(start: Started, tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("gitlab")
    made = site(start, folder, ci="gitlab", level=4, use_case="velocity", team_size="teams")
    return made.of(SECOND)


def test_gitlab_deploys_the_second_model_to_a_folder_of_its_own(
    on_gitlab: Site, venv: Path
) -> None:
    for job in RELEASE_JOBS:
        done = on_gitlab.gitlab(f"{job}: [{SECOND}]", venv)
        assert done.returncode == 0, done.stdout

    assert [on_gitlab.production()["serving"]] == on_gitlab.candidates()
    assert on_gitlab.of(".").candidates() == []


def test_github_under_governance_a_person_releases_the_second_model(
    start: Started, tmp_path: Path
) -> None:
    answers = {"ci": "github", "level": 3, "use_case": "governance", "team_size": "teams"}
    here = site(start, tmp_path, its_own_plan, **answers)
    job = job_of_github(here.github, GOVERNED_NAME)
    kept = f"trained-{GOVERNED_NAME}"
    brings_a_first_release(here.of(GOVERNED), job, tmp_path, kept)
