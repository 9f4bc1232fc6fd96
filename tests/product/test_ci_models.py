"""The jobs of a project with several models, run for the second one: GitHub's and GitLab's."""

from pathlib import Path

import pytest

from tests.product.ci_site import (
    Site,
    a_year_passes,
    as_the_status_says,
    site,
    went_through_a_pass,
)
from tests.product.conftest import Started

pytestmark = pytest.mark.slow

SECOND = "models/cancellations"
NAME = "late-flights-cancellations"


@pytest.fixture(scope="module")
def on_github(start: Started, tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("github")
    made = site(start, folder, ci="github", level=4, use_case="velocity", team_size="teams")
    return made.of(SECOND)


def test_github_deploys_every_model_to_a_folder_of_its_own(on_github: Site) -> None:
    done = on_github.github("deploy", "push")

    assert done.returncode == 0, done.stdout
    for model in (on_github, on_github.of(".")):
        assert [model.production()["serving"]] == model.candidates()
    assert (on_github.folder / f"release-{NAME}/deployed/candidates").is_dir()


def test_github_monitors_the_second_model(on_github: Site) -> None:
    a_year_passes(on_github)

    done = on_github.github("monitor", "schedule", "--matrix", f"model:{NAME}")

    as_the_status_says(done, on_github.folder / f"monitor-{NAME}/monitor")


def test_github_autopilot_makes_a_pass_of_the_second_model(on_github: Site) -> None:
    done = on_github.github("autopilot", "schedule", "--matrix", f"model:{NAME}")

    assert done.returncode == 0, done.stdout
    went_through_a_pass(on_github)


@pytest.fixture(scope="module")
def on_gitlab(start: Started, tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("gitlab")
    made = site(start, folder, ci="gitlab", level=4, use_case="velocity", team_size="teams")
    return made.of(SECOND)


def test_gitlab_deploys_the_second_model_to_a_folder_of_its_own(
    on_gitlab: Site, venv: Path
) -> None:
    for job in ("release", "deploy"):
        done = on_gitlab.gitlab(f"{job}: [{SECOND}]", venv)
        assert done.returncode == 0, done.stdout

    assert [on_gitlab.production()["serving"]] == on_gitlab.candidates()
    assert on_gitlab.of(".").candidates() == []


def test_gitlab_monitors_the_second_model(on_gitlab: Site, venv: Path) -> None:
    a_year_passes(on_gitlab)

    done = on_gitlab.gitlab(f"monitor: [{SECOND}]", venv)

    (kept,) = (on_gitlab.project.folder / ".gitlab-ci-local/artifacts").glob("monitor*")
    as_the_status_says(done, kept / SECOND / "reports/monitor", may_fail=True)


def test_gitlab_autopilot_makes_a_pass_of_the_second_model(on_gitlab: Site, venv: Path) -> None:
    done = on_gitlab.gitlab(f"autopilot: [{SECOND}]", venv)

    assert done.returncode == 0, done.stdout
    went_through_a_pass(on_gitlab)
