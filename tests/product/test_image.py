"""The images are built and used on real rows, in a real Docker daemon."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.product import docker
from tests.product.conftest import Started, run, tool
from tests.product.flown import Flown, first_release
from tests.product.serving import free_port
from tests.product.test_addons import FILES
from tests.product.variants import ask, in_production

__all__ = ["first_release"]  # a fixture
pytestmark = pytest.mark.slow

BASE = "python:3.13-slim-trixie"
SCORE_A_FEW = """
import polars as pl
from rung_ops.stages import TEST
from rung_ops.contract import TARGET
pl.read_parquet(TEST).drop(TARGET).head(20).write_parquet("batch/rows.parquet")
"""
READ = """
import json, polars as pl
scored = pl.read_parquet("batch/scored.parquet")
print(json.dumps([scored.height, scored["prediction"].is_between(0, 1).sum()]))
"""
SAME = """
import polars as pl
from polars.testing import assert_series_equal
paths = ("batch/scored.parquet", "batch/here.parquet")
assert_series_equal(*(pl.read_parquet(path)["prediction"] for path in paths))
"""

INSIDE = """
import importlib.util, os, shutil
tools = ["mlflow", "dvc", "sklearn", "pandas", "model_signing"]
there = [name for name in tools if importlib.util.find_spec(name)]
print(os.getuid(), *(there + [name for name in ("gcc", "cc", "git") if shutil.which(name)] or ["none"]))
"""
EXPECTED = """
import json, sys
import polars as pl
from rung_ops.training import estimator
from rung_ops.contract import Row, TARGET
from rung_ops.contract.row_checks import inspect
from rung_ops.training.refit import served_model
schema = Row.to_schema().remove_columns([TARGET])
row = json.load(open(sys.argv[1]))
rows = pl.DataFrame([row]).with_columns(pl.col("scheduled").str.to_datetime())
typed, problems = inspect(rows, schema, "row.json")
assert not problems, problems
print(estimator.predict(estimator.load(served_model()), typed)[0])
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a daemon that has the base image of the Dockerfile."""
    for needed in ("docker", "dockerd", "mmdebstrap"):
        tool(needed)
    try:
        with docker.daemon() as address:
            docker.import_base(address, BASE, tmp_path_factory.mktemp("base"))
            yield address
    except docker.NoDaemonError as reason:
        pytest.skip(f"{reason}; the Dockerfile was linted only (test_ci_lint.py)")


@pytest.mark.parametrize("use_case", ["velocity", "governance"])
def test_the_image_scores_as_the_project_does(start: Started, daemon: str, use_case: str) -> None:
    project = start(ci="github", level=1, use_case=use_case)
    run("uv", "run", "poe", "train", cwd=project)
    (project / "batch").mkdir()
    run("uv", "run", "python", "-c", SCORE_A_FEW, cwd=project)
    image = f"scoring-{use_case}"

    run(
        *("docker", "--host", daemon, "build", "--network", "host", "--tag", image, "."),
        cwd=project,
    )
    run(
        *("docker", "--host", daemon, "run", "--rm", "--network", "host"),
        *("--user", "4321:4321", "--read-only", "--volume", f"{opened(project / 'batch')}:/data"),
        *(image, "/data/rows.parquet", "/data/scored.parquet"),
        cwd=project,
    )

    run("uv", "run", "poe", "predict", "batch/rows.parquet", "batch/here.parquet", cwd=project)
    done = run("uv", "run", "--quiet", "python", "-c", READ, cwd=project)
    assert json.loads(done.stdout.splitlines()[-1]) == [20, 20]
    run("uv", "run", "python", "-c", SAME, cwd=project)


@pytest.mark.parametrize("ejected", [False, True])
def test_the_image_has_an_add_on_of_a_folder(start: Started, daemon: str, ejected: bool) -> None:
    project = start(ci="github", level=3, use_case="velocity", ejected=ejected)
    folder = project / "vendor/house_notifier"
    folder.mkdir(parents=True)
    for name, text in FILES.items():
        (folder / name).write_text(text)
    run(
        *("uv", "add", "--quiet", "--no-sync", "--group=house", "./vendor/house_notifier"),
        cwd=project,
    )
    packages = "PACKAGES=--only-group rung-3-service --only-group house"
    build = ("build", "--network=host", "--file=service.Dockerfile", "--build-arg", packages)

    docker_ = (tool("docker"), "--host", daemon)
    run(*docker_, *build, "--tag", "house", ".", cwd=project)
    listed = ("--network=none", "--entrypoint=rung-ops", "house", "--help")
    assert "house try" in run(*docker_, "run", "--rm", *listed, cwd=project).stdout


@pytest.fixture(scope="module")
def served(first_release: Callable[[str], Flown], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy a project that has a signed release in production."""
    directory = tmp_path_factory.mktemp("served") / "project"
    project = first_release("velocity").copy(directory, shared=False).folder
    (project / "logs").mkdir(exist_ok=True)
    return project


def test_the_image_of_the_service_answers_as_the_model_does(
    served: Path, daemon: str, capsys: pytest.CaptureFixture[str]
) -> None:
    docker_ = (tool("docker"), "--host", daemon)
    port = free_port()
    run(
        *(*docker_, "build", "--network", "host", "--file", "service.Dockerfile"),
        *("--tag", "service", "."),
        cwd=served,
    )
    run(
        *(*docker_, "run", "--detach", "--name", "service", "--network", "host", "--read-only"),
        *("--tmpfs", "/tmp", "--user", "4321:4321", "--cap-drop", "ALL"),
        *("--volume", f"{opened(served / 'releases')}:/app/releases:ro"),
        *("--volume", f"{opened(served / 'logs')}:/app/logs"),
        *("--env", f"SERVICE_PORT={port}", "service"),
        cwd=served,
    )
    try:
        wait_until_healthy(docker_, served)
        bundle = in_production(served / "releases")
        row = json.loads((bundle / "contract.json").read_text())["example"]
        answer = ask(f"http://127.0.0.1:{port}", row)
        inside = run(*docker_, "exec", "service", "python", "-c", INSIDE, cwd=served).stdout.split()
        run(*docker_, "stop", "--time", "20", "service", cwd=served)
        state = run(
            *(*docker_, "inspect", "--format", "{{.State.ExitCode}}", "service"), cwd=served
        )
    finally:
        print(run(*docker_, "logs", "service", cwd=served, expect=None).stdout)
        run(*docker_, "rm", "--force", "service", cwd=served, expect=None)
    size = run(*docker_, "image", "inspect", "--format", "{{.Size}}", "service", cwd=served)
    with capsys.disabled():
        print(f"the image of the service: {int(size.stdout) / 1e6:.0f} MB")

    assert bundle.name == answer["release"]
    assert state.stdout.strip() == "0"
    assert inside == ["4321", "none"], "who runs it, and which of the tools of training are there"
    assert list((served / "logs/production/predictions").rglob("*.parquet"))
    (served / "row.json").write_text(json.dumps(row))
    done = run("uv", "run", "--quiet", "python", "-c", EXPECTED, "row.json", cwd=served)
    assert answer["prediction"] == pytest.approx(float(done.stdout.split()[-1]), abs=1e-5)


def wait_until_healthy(docker_: tuple[str, ...], folder: Path) -> None:
    """Wait for the HEALTHCHECK of the image."""
    status = ""
    for _ in range(90):
        status = run(
            *(*docker_, "inspect", "--format", "{{.State.Health.Status}}", "service"), cwd=folder
        ).stdout.strip()
        if status == "healthy":
            return
        time.sleep(1)
    raise AssertionError(f"the container is {status}")


def opened(folder: Path) -> Path:
    """Let the user of the container, who is another, write into a folder."""
    folder.chmod(0o777)
    for path in [folder, *folder.parents]:
        if path.stat().st_mode & 0o001 == 0:
            path.chmod(path.stat().st_mode | 0o011)
    return folder
