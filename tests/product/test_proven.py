"""`rung check --prove` on a project of Rung's: its own checks and its pipeline prove what files say."""

import json

import pytest

from tests.command import git, rung
from tests.product.conftest import Started, environment, tool


@pytest.mark.slow
def test_a_generated_project_is_proven(start: Started) -> None:
    tool("actionlint")
    folder = start(level=2, ci="github", use_case="velocity", team_size="team")

    done = rung("check", folder, "--prove", "--format", "json", environment=environment(), expect=0)

    data = json.loads(done.stdout)
    results = {run["command"].split()[0]: run["result"] for run in data["runs"]}
    assert {"poe": "passed", "dvc": "passed", "actionlint": "passed"} == results, data["runs"]
    proof = {one["capability"]: one["proof"] for one in data["findings"]}
    for name in ("unit-tests", "ci-build-test", "orchestrated-pipeline"):
        assert "proven" == proof[name]
    assert "static" == proof["use-case-brief"]
    assert "" == git(folder, "status", "--porcelain", "--ignored")

    # A pipeline that runs in a circle does not count; the checks need not pass again.
    for path, old, new in (
        ("dvc.yaml", "- data/incoming\n", "- data/rows.parquet\n"),
        ("ops/tasks.toml", "\ncheck.", "\nall_checks."),
    ):
        text = (folder / path).read_text()
        assert old in text
        (folder / path).write_text(text.replace(old, new))
    broken = rung("check", folder, "--prove", environment=environment()).stdout

    assert "disproven: `dvc repro --dry --force` failed" in broken
