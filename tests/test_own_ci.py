"""Rung's own workflows: linters find nothing in them, and the fast job runs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.command import git
from tests.conftest import ROOT
from tests.product.ci_site import github
from tests.product.conftest import commit, run, tool
from tests.product.test_ci_lint import YAMLLINT, schema

FILES = [path.relative_to(ROOT).as_posix() for path in sorted(ROOT.glob(".github/**/*.yml"))]
WORKFLOWS = [path for path in FILES if "/workflows/" in path]
OFFERED = "docs/ci/rung-update.github.yml"  # a workflow for projects
FORMS = [path for path in FILES if "/ISSUE_TEMPLATE/" in path and not path.endswith("config.yml")]


def test_linters_find_nothing_in_the_workflows() -> None:
    run(tool("actionlint"), *WORKFLOWS, OFFERED, cwd=ROOT)
    run(tool("zizmor"), "--offline", "--no-progress", ".github", "action.yml", OFFERED, cwd=ROOT)
    run(tool("act"), "--validate", "--strict", "--list", "-W", ".github/workflows", cwd=ROOT)
    run(tool("yamllint"), "--strict", "-d", YAMLLINT, *FILES, OFFERED, cwd=ROOT)


def test_forms_and_settings_keep_githubs_schemas() -> None:
    schema(ROOT, "vendor.github-workflows", [*WORKFLOWS, OFFERED])
    schema(ROOT, "vendor.dependabot", [".github/dependabot.yml"])
    schema(ROOT, "vendor.github-issue-config", [".github/ISSUE_TEMPLATE/config.yml"])
    schema(ROOT, "vendor.github-issue-forms", FORMS)


def test_every_shard_of_the_slow_tests_has_a_job() -> None:
    every = yaml.safe_load((ROOT / ".github/workflows/all.yml").read_text("utf-8"))["jobs"]["shard"]
    (shards,) = re.findall(r"^shards=(\d+)$", (ROOT / ".ci/all").read_text("utf-8"), re.MULTILINE)

    assert [*range(1, int(shards) + 1), "library", "newest"] == every["strategy"]["matrix"]["shard"]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clone this repository, as a runner does."""
    folder = tmp_path_factory.mktemp("runner") / "rung"
    git(ROOT, "clone", "--quiet", str(ROOT), str(folder))
    return folder


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="the scripts are for Debian")
# In place of the programs that the scripts of .ci call; FAILS is a word of the call that fails.
PROGRAMS = {
    "dpkg-query": "echo install ok installed",
    "npm": "",
    "make": """for word in "$@"; do [ "$word" != "$FAILS" ] || exit 2; done""",
    "uv": """
case "$*" in
  "cache dir") echo . ;;
  "run --quiet pytest "*)
    echo "$*" >> calls.txt
    echo "== 3 passed, 1 skipped in 4.20s (0:00:04) =="
    case "$*" in *"$FAILS "*) exit 5 ;; esac ;;
esac
""",
}


def script(clone: Path, name: str, fails: str) -> tuple[int, list[str], list[str]]:
    """Run a script of .ci; return its exit code, what it printed last, and the calls of pytest."""
    programs = clone.parent / "programs"
    programs.mkdir(exist_ok=True)
    for program, text in PROGRAMS.items():
        (programs / program).write_text(f"#!/bin/bash\n{text}\n")
        (programs / program).chmod(0o755)
    calls = clone / "calls.txt"
    calls.write_text("")
    (clone / ".git/info/exclude").write_text("/calls.txt\n")
    done = subprocess.run(
        [clone / ".ci" / name],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "FAILS": fails},
    )
    summary = done.stdout.partition("== what ran: seconds, and tests\n")[2].splitlines()
    return done.returncode, summary, calls.read_text().splitlines()


@on_linux
@pytest.mark.parametrize("fails, code", [("nothing", 0), ("lint", 1), ("docs-check", 1), ("-m", 1)])
def test_the_script_of_every_commit_ends_with_its_summary_and_fails_with_any_part(
    clone: Path, fails: str, code: int
) -> None:
    done, summary, _ = script(clone, "run", fails)

    assert code == done
    assert re.fullmatch(rf"\.ci/run {'FAILED after' if code else 'passed in'} \d+ s", summary[-1])
    assert code == sum(line.startswith("FAILED") for line in summary)
    assert "s  slow tests of every commit: 3 passed, 1 skipped" in summary[-2]


@on_linux
def test_a_shard_that_passed_on_a_commit_is_not_run_again(clone: Path) -> None:
    code, summary, calls = script(clone, "all", "--test-group 3")
    assert (1, 8) == (code, len(calls))
    assert ["shard 3 of 8"] == [line[17:29] for line in summary if line.startswith("FAILED")]

    code, summary, calls = script(clone, "all", "nothing")
    assert 0 == code
    assert [True] == ["--test-group 3" in call for call in calls]
    assert 9 == sum(line.endswith(", before") for line in summary)
    assert re.fullmatch(r"\.ci/all passed in \d+ s", summary[-1])

    commit_something(clone)
    assert 8 == len(script(clone, "all", "nothing")[2])


def commit_something(clone: Path) -> None:
    (clone / "README.md").write_text("Another text\n")
    commit(clone, "Change the text")


@pytest.mark.slow
def test_the_fast_job_passes_and_fails_with_its_tests(clone: Path, tmp_path: Path) -> None:
    tests = "tests/test_process.py"
    chosen = ("--job", "fast", "--matrix", "os:ubuntu-latest", "--matrix", "python:3.11")

    done = github(clone, "ci", "workflow_dispatch", tmp_path, *chosen, "--input", f"tests={tests}")
    assert 0 == done.returncode, done.stdout
    assert " passed" in done.stdout

    with (clone / tests).open("a", encoding="utf-8") as file:
        file.write("\n\ndef test_broken_on_purpose() -> None:\n    assert [] == [1]\n")
    commit(clone, "Break a test")

    done = github(clone, "ci", "workflow_dispatch", tmp_path, *chosen, "--input", f"tests={tests}")
    assert 1 == done.returncode, done.stdout
    assert "test_broken_on_purpose" in done.stdout


@pytest.mark.slow
def test_a_release_has_packages_bills_of_materials_and_notes(clone: Path, tmp_path: Path) -> None:
    folder = tmp_path / "dist"
    run(clone / ".ci/release", folder, cwd=clone)

    packages = {path.name for path in (folder / "packages").iterdir()}
    carried = list((clone / "templates/project/vendor").glob("*.whl"))
    assert ["rung_governance", "rung_ops"] == sorted(path.name.split("-")[0] for path in carried)
    assert {"rung-0.2.0-py3-none-any.whl", "rung-0.2.0.tar.gz"} < packages
    for wheel in carried:
        assert wheel.read_bytes() == (folder / "packages" / wheel.name).read_bytes()
    assert '"name": "copier"' in (folder / "rung.cdx.json").read_text("utf-8")
    assert '"name": "mlflow"' in (folder / "rung-ops.cdx.json").read_text("utf-8")
    assert '"name": "shap"' in (folder / "rung-governance.cdx.json").read_text("utf-8")
    notes = (folder / "notes.md").read_text("utf-8")
    assert "Projects are thin." in notes
    assert "\n## " not in notes


@pytest.mark.slow
def test_a_release_without_notes_is_refused(clone: Path, tmp_path: Path) -> None:
    work = tmp_path / "rung"
    shutil.copytree(clone, work, ignore=shutil.ignore_patterns(".venv"))
    changelog = work / "CHANGELOG.md"
    changelog.write_text(changelog.read_text("utf-8").replace("\n## 0.2.0\n", "\n## Next\n"))

    done = subprocess.run(
        [work / ".ci/release", tmp_path / "dist"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )

    assert 1 == done.returncode
    assert "says nothing under '## 0.2.0'" in done.stderr
