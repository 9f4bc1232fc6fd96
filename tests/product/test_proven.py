"""`rung check --prove` on a project of Rung's: its own checks and its pipeline prove what files say."""

import json

import pytest

from tests.command import git, rung
from tests.product.conftest import Started, environment, tool


@pytest.mark.slow
def test_a_generated_project_is_proven(start: Started) -> None:
    tool("actionlint")
    folder = start(level=2, ci="github", use_case="velocity", team_size="team")

    done = rung("check", folder, "--prove", "--format", "json", environment=environment())

    assert 0 == done.returncode, done.stderr
    said = json.loads(done.stdout)
    results = {run["command"].split()[0]: run["result"] for run in said["runs"]}
    assert {"poe": "passed", "dvc": "passed", "actionlint": "passed"} == results, said["runs"]
    proof = {one["capability"]: one["proof"] for one in said["findings"]}
    for name in ("unit-tests", "ci-build-test", "orchestrated-pipeline"):
        assert "proven" == proof[name]
    assert "static" == proof["use-case-brief"]
    # A pipeline that runs in a circle is none.
    dvc = folder / "dvc.yaml"
    dvc.write_text(dvc.read_text().replace("- data/incoming\n", "- data/rows.parquet\n"))
    broken = rung(
        *("check", folder, "--prove", "--prove-seconds", "200"), environment=environment()
    ).stdout
    assert "disproven: `dvc repro --dry --force` failed" in broken
    git(folder, "checkout", "--quiet", "dvc.yaml")
    assert "" == git(folder, "status", "--porcelain", "--ignored")
