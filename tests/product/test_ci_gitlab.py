"""GitLab's jobs of a project, run with gitlab-ci-local."""

import shutil
from pathlib import Path

import pytest

from tests.product.ci_site import (
    TRAINED,
    Site,
    a_year_passes,
    as_the_status_says,
    break_a_test,
    gitlab,
    site,
    went_through_a_pass,
)
from tests.product.conftest import Started
from tests.product.variants import validate

pytestmark = pytest.mark.slow


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
    as_the_status_says(done, kept / "reports/monitor", may_fail=True)


def test_gitlab_autopilot_makes_a_pass_and_pushes_its_branch(on_gitlab: Site, venv: Path) -> None:
    done = on_gitlab.gitlab("autopilot", venv)

    assert done.returncode == 0, done.stdout
    went_through_a_pass(on_gitlab)


def test_gitlab_first_release_waits_until_it_is_approved(
    start: Started, tmp_path: Path, venv: Path
) -> None:
    here = site(start, tmp_path, ci="gitlab", level=3, use_case="governance")
    done = here.gitlab("train", venv)
    assert done.returncode == 0, done.stdout
    trained = here.project.folder / ".gitlab-ci-local/artifacts/train"
    for made in TRAINED:
        assert (trained / made).is_file(), made
    shutil.copy(trained / "mlflow.db", here.project.folder)
    validate(here.project)
    here.project.run("git push --quiet origin main")

    done = here.gitlab("release", venv, VERSION="1")
    assert done.returncode == 0, done.stdout
    (released,) = here.candidates()
    waiting = here.waiting()
    done = here.gitlab("approve", venv, VERSION="1")
    assert done.returncode == 0, done.stdout

    assert waiting == [released]
    assert here.production()["serving"] == released
