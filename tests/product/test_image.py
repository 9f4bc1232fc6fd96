"""The image for batch scoring is built and scores real rows, in a real Docker daemon."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.product import docker
from tests.product.conftest import Started, run, tool

pytestmark = pytest.mark.slow

BASE = "python:3.13-slim-trixie"
SCORE_A_FEW = """
import polars as pl
from ops.settings import TEST
from ops.contract import TARGET
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


@pytest.mark.parametrize("use_case", ["velocity"])
def test_the_image_holds_what_scores_and_no_more(
    start: Started, daemon: str, use_case: str
) -> None:
    inside = "import ops, os, sys; print(os.getuid(), *sorted(os.listdir('/app')))"
    done = run(
        *("docker", "--host", daemon, "run", "--rm", "--network", "host"),
        *("--entrypoint", "python", f"scoring-{use_case}", "-c", inside),
        cwd=Path.cwd(),
    )

    user, *held = done.stdout.split()
    assert user == "10001"
    assert held == [".venv", "model", "ops", "params.toml", "src"]


def opened(folder: Path) -> Path:
    """Let the user of the container, who is another, write into a folder."""
    folder.chmod(0o777)
    for path in [folder, *folder.parents]:
        if path.stat().st_mode & 0o001 == 0:
            path.chmod(path.stat().st_mode | 0o011)
    return folder
