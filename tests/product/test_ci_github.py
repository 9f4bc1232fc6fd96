"""GitHub's workflows of a project, run with act."""

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.product.ci_site import (
    TRAINED,
    Site,
    a_year_passes,
    as_the_status_says,
    break_a_test,
    github,
    site,
    went_through_a_pass,
)
from tests.product.conftest import Started, commit
from tests.product.serving import free_port
from tests.product.variants import ask, in_production, serving, validate

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


def test_github_train_uploads_what_it_made_and_approve_needs_a_validation_record(
    start: Started, tmp_path: Path
) -> None:
    project = start(ci="github", level=2, use_case="governance")
    done = github(project, "train", "workflow_dispatch", tmp_path)
    assert done.returncode == 0, done.stdout
    for made in TRAINED:
        assert (tmp_path / "trained" / made).is_file(), made

    done = github(
        *(project, "approve", "workflow_dispatch", tmp_path, "--input", "version=1"),
        *("--input", "run=1"),
    )

    assert done.returncode == 1, done.stdout
    assert "nobody has validated version 1" in done.stdout
    with sqlite3.connect(tmp_path / "trained" / "mlflow.db") as registry:
        aliases = registry.execute("SELECT alias FROM registered_model_aliases").fetchall()
    assert ("champion",) not in aliases


@pytest.fixture(scope="module")
def on_github(start: Started, tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("github")
    return site(start, folder, ci="github", level=4, use_case="velocity")


def test_github_deploy_brings_a_merge_to_production(on_github: Site) -> None:
    done = on_github.github("deploy", "push")

    assert done.returncode == 0, done.stdout
    assert [on_github.production()["serving"]] == on_github.candidates()
    assert (on_github.folder / "release/deployed/candidates").is_dir()


def test_github_monitor_looks_at_what_was_answered(on_github: Site) -> None:
    a_year_passes(on_github)

    done = on_github.github("monitor", "schedule")

    as_the_status_says(done, on_github.folder / "monitor/monitor")


def test_github_autopilot_makes_a_pass_and_pushes_its_branch(on_github: Site) -> None:
    done = on_github.github("autopilot", "schedule")

    assert done.returncode == 0, done.stdout
    went_through_a_pass(on_github)


def test_github_first_release_waits_until_it_is_approved(start: Started, tmp_path: Path) -> None:
    here = site(start, tmp_path, ci="github", level=3, use_case="governance")
    version = ("--input", "version=1", "--input", "run=1")
    done = here.github("train", "workflow_dispatch")
    assert done.returncode == 0, done.stdout
    shutil.copy(tmp_path / "trained/mlflow.db", here.project.folder)
    validate(here.project)

    done = here.github("release", "workflow_dispatch", *version)
    assert done.returncode == 0, done.stdout
    (released,) = here.candidates()
    waiting = here.waiting()
    done = here.github("approve", "workflow_dispatch", *version)
    assert done.returncode == 0, done.stdout

    assert waiting == [released]
    assert here.production()["serving"] == released

    # The same applicant 600 times is worth a line in the audit log, where its key is.
    bundle = in_production(tmp_path / "releases")
    with serving(here.project, free_port(), **here.variables) as address:
        ask(address, [json.loads((bundle / "contract.json").read_text())["example"]] * 600)
    key = here.secrets.pop("AUDIT_PRIVATE_KEY")
    done = here.github("monitor", "schedule")
    assert done.returncode == 1, done.stdout
    assert "What was found is not in the audit log: there is no key" in done.stdout
    assert "monitored" not in here.events()
    here.secrets["AUDIT_PRIVATE_KEY"] = key
    done = here.github("monitor", "schedule")
    assert done.returncode == 1, done.stdout
    assert "monitored" in here.events()
