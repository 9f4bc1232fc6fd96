"""The generated CI really runs: GitHub's workflows with act, GitLab's with gitlab-ci-local."""

import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.product.conftest import Started, commit, run, search_path, tool

pytestmark = pytest.mark.slow

STUBS = Path(__file__).parent / "stubs"
# act takes the checkout from the folder itself.
ACTION = re.compile(r"uses: ((?!actions/checkout@)([\w-]+)/([\w-]+)@\w+)")
BROKEN = "\n\ndef test_that_is_broken_on_purpose():\n    assert [] == [1]\n"


def github(
    project: Path, job: str, event: str, artifacts: Path, *more: str
) -> subprocess.CompletedProcess[str]:
    """Run one workflow on this machine; actions that would be downloaded are stubs."""
    workflow = f".github/workflows/{job}.yml"
    used = sorted(set(ACTION.findall((project / workflow).read_text())))
    stubs = [
        f"--local-repository=https://github.com/{action}={STUBS / name}" for action, _, name in used
    ]
    return run(
        *(tool("act"), event, "-W", workflow, "-P", "ubuntu-latest=-self-hosted"),
        *("--no-cache-server", "--env", f"ARTIFACTS={artifacts}", *stubs, *more),
        cwd=project,
        expect=None,
    )


def gitlab(project: Path, job: str, venv: Path) -> subprocess.CompletedProcess[str]:
    """Run one job on this machine; its `pip` is that of a fresh virtual environment."""
    # The job prunes the cache at its end: give it one of its own, not this machine's.
    cache = f"UV_CACHE_DIR={venv.parent / 'uv-cache'}"
    return run(
        *(tool("gitlab-ci-local"), "--force-shell-executor", "--shell-isolation"),
        *("--variable", cache, job),
        cwd=project,
        expect=None,
        PATH=search_path(venv / "bin"),
    )


def break_a_test(project: Path) -> None:
    """Add a test that fails, and commit it."""
    path = project / "tests" / "test_model.py"
    path.write_text(path.read_text() + BROKEN)
    commit(project, "Break a test")


@pytest.fixture(scope="session")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an environment with pip, as the image of a GitLab job has one."""
    folder = tmp_path_factory.mktemp("gitlab") / "venv"
    run(sys.executable, "-m", "venv", folder, cwd=folder.parent)
    return folder


@pytest.mark.parametrize("use_case", ["velocity", "governance"])
def test_github_check_passes_as_generated(start: Started, tmp_path: Path, use_case: str) -> None:
    done = github(start(ci="github", level=1, use_case=use_case), "check", "push", tmp_path)

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


def test_github_train_uploads_what_it_made(start: Started, tmp_path: Path) -> None:
    project = start(ci="github", level=2, use_case="velocity")

    done = github(project, "train", "schedule", tmp_path)

    assert done.returncode == 0, done.stdout
    trained = tmp_path / "trained"
    for made in ("model/model.skops", "reports/metrics.json", "reports/report.html", "mlflow.db"):
        assert (trained / made).is_file(), made


def test_github_approve_needs_a_validation_record(start: Started, tmp_path: Path) -> None:
    project = start(ci="github", level=2, use_case="governance")
    done = github(project, "train", "workflow_dispatch", tmp_path)
    assert done.returncode == 0, done.stdout

    done = github(
        *(project, "approve", "workflow_dispatch", tmp_path, "--input", "version=1"),
        *("--input", "run=1"),
    )

    assert done.returncode == 1, done.stdout
    assert "nobody has validated version 1" in done.stdout
    with sqlite3.connect(tmp_path / "trained" / "mlflow.db") as registry:
        aliases = registry.execute("SELECT alias FROM registered_model_aliases").fetchall()
    assert ("champion",) not in aliases


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


def test_gitlab_train_keeps_what_it_made(start: Started, venv: Path) -> None:
    project = start(ci="gitlab", level=2, use_case="velocity")

    done = gitlab(project, "train", venv)

    assert done.returncode == 0, done.stdout
    trained = project / ".gitlab-ci-local" / "artifacts" / "train"
    for made in ("model/model.skops", "reports/metrics.json", "reports/report.html", "mlflow.db"):
        assert (trained / made).is_file(), made
