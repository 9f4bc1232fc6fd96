"""The action, the GitLab job and the commit hook really run, and take nothing they are given for code."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.product.conftest import commit, run, search_path, tool
from tests.repositories import ML, plant
from tests.test_check_command import HOUSE, TESTED

ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
GITLAB = "docs/ci/rung-check.gitlab-ci.yml"
# Each of these would leave a file behind if a shell were to read it as code.
HOSTILE = ["$(touch sprung)", "`touch sprung`", '"; touch sprung; "', "'; touch sprung #", "-h"]


def test_the_action_and_the_job_keep_their_schemas() -> None:
    check = (tool("check-jsonschema"), "--builtin-schema")
    run(*check, "vendor.github-actions", "action.yml", cwd=ROOT)
    jobs = (GITLAB, "docs/ci/rung-update.gitlab-ci.yml")
    run(*check, "vendor.gitlab-ci", *jobs, "--data-transform", "gitlab-ci", cwd=ROOT)


def checkout(folder: Path) -> Path:
    """Copy what git holds of this repository, without git, as a runner downloads an action."""
    for path in run("git", "ls-files", "-co", "--exclude-standard", cwd=ROOT).stdout.splitlines():
        if (ROOT / path).is_file():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, folder / path)
    return folder


@dataclass
class Runner:
    """What a runner of GitHub's gives to the steps of a composite action."""

    folder: Path
    workspace: Path

    def file(self, name: str) -> str:
        path = self.folder / name
        return path.read_text() if path.exists() else ""

    def step(self, number: int, **inputs: str) -> "subprocess.CompletedProcess[str]":
        """Run a step's script as GitHub does, with inputs where its environment names them."""
        step = ACTION["runs"]["steps"][number]
        given = {name: message["default"] for name, message in ACTION["inputs"].items()}
        given |= {name.replace("_", "-"): value for name, value in inputs.items()}
        variables = {
            name: next(filter(None, map(given.get, re.findall(r"inputs\.([\w-]+)", text))), "")
            for name, text in step.get("env", {}).items()
        }
        script = self.folder / "script.sh"
        script.write_text(step["run"])
        return run(
            *("bash", "--noprofile", "--norc", "-eo", "pipefail", script),
            cwd=self.workspace,
            expect=None,
            GITHUB_ACTION_PATH=str(self.folder / "action"),
            GITHUB_OUTPUT=str(self.folder / "output"),
            GITHUB_STEP_SUMMARY=str(self.folder / "summary"),
            RUNNER_TEMP=str(self.folder / "temp"),
            **variables,
        )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the action's first step once."""
    folder = tmp_path_factory.mktemp("runner")
    checkout(folder / "action")
    (folder / "temp").mkdir()
    done = Runner(folder, folder).step(0)
    assert 0 == done.returncode, done.stdout
    return folder


@pytest.fixture
def runner(installed: Path, tmp_path: Path) -> Runner:
    """Give a runner whose workspace holds a repository of rung 1."""
    for name in ("output", "summary"):
        (installed / name).unlink(missing_ok=True)
    return Runner(installed, plant(tmp_path / "workspace", TESTED))


@pytest.mark.slow
def test_the_action_answers_with_level_summary_and_sarif(runner: Runner) -> None:
    done = runner.step(1, min_level="1", sarif_file="rung.sarif")

    assert 0 == done.returncode, done.stdout
    assert "rung 1, Tested" in done.stdout
    assert "level=1\n" == runner.file("output")
    assert runner.file("summary").startswith("## Rung 1, Tested")
    assert "2.1.0" == json.loads((runner.workspace / "rung.sarif").read_text())["version"]


@pytest.mark.slow
def test_the_action_fails_below_the_rung_and_still_names_it(runner: Runner) -> None:
    done = runner.step(1, min_level="2")

    assert 1 == done.returncode, done.stdout
    assert "level=1\n" == runner.file("output")
    assert "orchestrated-pipeline" in runner.file("summary")


@pytest.mark.slow
def test_the_action_takes_the_policy_of_a_house(runner: Runner) -> None:
    waiver = '[waivers.unit-tests]\nreason = "none yet"\nuntil = 2999-01-01\n'
    (runner.workspace / "rung.toml").write_text(waiver)
    done = runner.step(1, capabilities=str(HOUSE))

    assert 0 == done.returncode, done.stdout
    assert "policy allows none" in runner.file("summary")


@pytest.mark.slow
def test_the_action_shows_the_change_against_a_base(runner: Runner) -> None:
    run("git", "init", "--quiet", "--initial-branch=main", cwd=runner.workspace)
    commit(runner.workspace, "Start")
    (runner.workspace / ".github/workflows/ci.yml").unlink()

    done = runner.step(1, base="main", game="velocity")

    assert 0 == done.returncode, done.stdout
    assert "Against the base: rung 1 to 0" in runner.file("summary")


@pytest.mark.slow
@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("name", sorted(ACTION["inputs"]))
def test_no_input_of_the_action_becomes_code(runner: Runner, name: str, hostile: str) -> None:
    done = runner.step(1, **{name.replace("-", "_"): hostile})

    # A file may be called anything; all else is refused.
    assert done.returncode == (0 if name == "sarif-file" else 2), done.stdout
    assert not [path for path in runner.folder.parent.rglob("sprung") if path.is_file()]
    assert not (runner.workspace / "sprung").exists()


@pytest.mark.slow
def test_no_file_of_the_repository_is_run_by_the_action(runner: Runner) -> None:
    trap = "import pathlib\npathlib.Path('sprung').touch()\n"
    names = ("json.py", "sitecustomize.py", "yaml.py", "rung.py", "typer.py")
    plant(runner.workspace, dict.fromkeys(names, trap))

    assert 0 == runner.step(1).returncode
    assert "level=1\n" == runner.file("output")
    assert not (runner.workspace / "sprung").exists()


@pytest.mark.slow
def test_no_line_of_the_repository_is_a_command_to_the_runner(runner: Runner) -> None:
    plant(runner.workspace, {"predict.py": "model.predict('##[add-mask]x')  # ::error::x\n"})
    done = runner.step(1)
    before, token, rest = done.stdout.partition("::stop-commands::")
    token, _, rest = rest.partition("\n")

    assert "" == before
    assert "##[add-mask]" not in done.stdout
    assert r"\x23#[add-mask]x" in rest.partition(f"::{token}::")[0]


@pytest.mark.slow
def test_the_gitlab_job_leaves_reports_and_fails_below_the_rung(tmp_path: Path) -> None:
    folder = plant(tmp_path / "workspace", TESTED)
    shutil.copy(ROOT / GITLAB, folder)
    plant(folder, {".gitlab-ci.yml": f"include:\n  - local: {Path(GITLAB).name}\n"})
    run("git", "init", "--quiet", "--initial-branch=main", cwd=folder)
    run("git", "remote", "add", "origin", "git@gitlab.com:a/b.git", cwd=folder)
    commit(folder, "Start")
    venv = tmp_path / "venv"
    run(sys.executable, "-m", "venv", venv, cwd=tmp_path)
    source = f"file://{checkout(tmp_path / 'rung')}"

    for least, code in (("1", 0), ("2", 1)):
        done = run(
            *(tool("gitlab-ci-local"), "--force-shell-executor", "--shell-isolation"),
            *("--variable", f"RUNG_SOURCE={source}", "--variable", f"RUNG_MIN_LEVEL={least}"),
            *("--variable", "RUNG_GAME=velocity", "rung-check"),
            cwd=folder,
            expect=None,
            PATH=search_path(venv / "bin"),
        )
        kept = folder / ".gitlab-ci-local/artifacts/rung-check"

        assert code == done.returncode, done.stdout
        assert "rung 1, Tested" in done.stdout
        assert (kept / "rung.md").read_text().startswith("## Rung 1, Tested")
        assert 1 == json.loads((kept / "rung.json").read_text())["level"]
        assert "</html>" in (kept / "rung.html").read_text()


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Commit what is here as a repository of hooks."""
    folder = checkout(tmp_path_factory.mktemp("hooks") / "rung")
    run("git", "init", "--quiet", cwd=folder)
    commit(folder, "Start")
    return folder


def hook(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run pre-commit in a new repository."""
    run("git", "init", "--quiet", cwd=folder)
    run("git", "add", "--all", cwd=folder)
    return run(
        *(tool("pre-commit"), *arguments, "--verbose", "--all-files"),
        cwd=folder,
        expect=None,
        PRE_COMMIT_HOME=str(folder.parent / "cache"),
    )


@pytest.mark.slow
@pytest.mark.parametrize(("files", "code"), [(TESTED, 0), (ML, 1)])
def test_the_commit_hook_accepts_a_high_enough_rung(
    tmp_path: Path, origin: Path, files: dict[str, str], code: int
) -> None:
    head = run("git", "rev-parse", "HEAD", cwd=origin).stdout.strip()
    hooks = [{"id": "rung-check", "args": ["--min-level", "1"]}]
    config = {"repos": [{"repo": f"file://{origin}", "rev": head, "hooks": hooks}]}
    folder = plant(tmp_path / "workspace", files)
    plant(folder, {".pre-commit-config.yaml": yaml.safe_dump(config)})

    done = hook(folder, "run")

    assert code == done.returncode, done.stdout
    assert f"rung {1 - code}, " in done.stdout
