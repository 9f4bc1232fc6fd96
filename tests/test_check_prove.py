"""`rung check --prove` runs in a copy what can be run, and says of each finding what came of it."""

import json
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rung.check.proof import copied
from rung.check.proof import prove as proving
from tests.command import init, rung, running, stopped
from tests.conftest import ROOT
from tests.repositories import LADDER, plant
from tests.test_check_command import TESTED

TASKS = (
    '[project]\nname = "late"\nversion = "1"\nrequires-python = ">=3.11"\n'
    'dependencies = ["scikit-learn"]\n'
    '[tool.poe.tasks.check]\nsequence = [{cmd = "ruff check"}, {cmd = "pytest"}]\n'
)
PROJECT = TESTED | {
    "pyproject.toml": TASKS,
    ".github/workflows/ci.yml": "jobs:\n  a:\n    steps:\n      - run: poe check\n",
}
IDENTITY = ("-c", "user.name=A", "-c", "user.email=a@b.c")
PASSES = 'echo "$@" >asked.txt\necho all is well\n'


def project(folder: Path, files: Mapping[str, str] = PROJECT) -> Path:
    """Write a repository out and commit it."""
    return init(plant(folder, files))


def search_path(folder: Path, **programs: str) -> dict[str, str]:
    """Put shell scripts where programs would be; there is git, and no uv."""
    folder.mkdir()
    for name, script in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}")
        (folder / name).chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin", "UV": ""}


def prove(folder: Path, environment: Mapping[str, str], *more: str) -> dict[str, Any]:
    """Check with --prove and return what it says as JSON."""
    options = ("--prove", "--format", "json", "--seconds", "60", *more)
    done = rung("check", folder, *options, environment=environment, expect=0)
    data: dict[str, Any] = json.loads(done.stdout)
    return data


def finding(report: dict[str, Any], name: str) -> dict[str, Any]:
    matching: dict[str, Any] = next(one for one in report["findings"] if one["capability"] == name)
    return matching


def everything(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Read every file, git's own too, with the time of its last change."""
    return {
        str(path): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_run_that_passes_proves_what_it_leads_to(tmp_path: Path) -> None:
    report = prove(project(tmp_path / "late"), search_path(tmp_path / "bin", poe=PASSES))
    tests = finding(report, "unit-tests")

    assert "proven" == tests["proof"]
    assert [{"command": "poe check", "result": "passed"}] == tests["proof_by"]
    assert "static" == finding(report, "scripted-training")["proof"]
    run = next(one for one in report["runs"] if one["command"] == "poe check")
    assert ("passed", ["all is well"]) == (run["result"], run["tail"])


def test_a_run_that_fails_disproves_it_and_its_last_words_are_shown(tmp_path: Path) -> None:
    folder = project(tmp_path / "late")
    environment = search_path(tmp_path / "bin", poe='printf "one\\n\\033[31mtwo\\n"; exit 3\n')
    report = prove(folder, environment)

    assert "disproven" == finding(report, "unit-tests")["proof"]
    assert 1 == report["level"]  # its files say so; a run can fail for lack of a network
    for form in ("text", "markdown", "html"):
        done = rung("check", folder, "--prove", "--format", form, environment=environment, expect=0)

        assert "disproven" in done.stdout
        assert "\\x1b[31mtwo" in done.stdout
    sarif = json.loads(
        rung("check", folder, "--prove", "--format", "sarif", environment=environment).stdout
    )
    results = {one["ruleId"]: one for one in sarif["runs"][0]["results"]}
    assert "disproven: `poe check` failed" in results["unit-tests"]["message"]["text"]


def test_a_run_that_leads_elsewhere_says_nothing_of_tests(tmp_path: Path) -> None:
    files = PROJECT | {"pyproject.toml": TASKS.replace('{cmd = "pytest"}', '{cmd = "mypy"}')}
    report = prove(project(tmp_path / "late", files), search_path(tmp_path / "bin", poe=PASSES))

    assert "passed" == report["runs"][0]["result"]
    assert "static" == finding(report, "unit-tests")["proof"]


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:  # of a process that has ended
        return ""


def test_a_run_that_does_not_end_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    mark = tmp_path / "child"
    script = f"sleep 60 & echo $! >{mark}\necho waiting\nwait\n"
    begin = time.monotonic()
    report = prove(
        project(tmp_path / "late"),
        search_path(tmp_path / "bin", poe=script),
        *("--prove-seconds", "1"),
    )

    assert time.monotonic() - begin < 30
    run = report["runs"][0]
    assert ("timed out", "it took more than 1 s", ["waiting"]) == (
        run["result"],
        run["reason"],
        run["tail"],
    )
    assert "static" == finding(report, "unit-tests")["proof"]
    child = Path(f"/proc/{mark.read_text().strip()}/stat")
    until = time.monotonic() + 30  # killed it is; a busy machine takes its time to end it
    while (left := _text(child)) and " Z " not in left and time.monotonic() < until:
        time.sleep(0.05)
    assert not left or " Z " in left


def test_what_cannot_be_run_is_reported(tmp_path: Path) -> None:
    folder = project(tmp_path / "late", PROJECT | {"dvc.yaml": "stages: {a: {cmd: python a.py}}\n"})
    environment = search_path(tmp_path / "bin")
    runs = {run["command"].split()[0]: run for run in prove(folder, environment)["runs"]}
    words = rung("check", folder, "--prove", environment=environment).stdout

    assert {"poe", "dvc", "actionlint"} == set(runs)
    assert {"not run"} == {run["result"] for run in runs.values()}
    assert (
        "`poe` is not on PATH, and uv, which would install it for the project, is not installed"
        == runs["poe"]["reason"]
    )
    assert "actionlint -shellcheck= -pyflakes=: not run: `actionlint` is not on PATH" in words


def test_the_environment_that_uv_makes_comes_before_path(tmp_path: Path) -> None:
    uv = 'if [ "$1" = sync ]; then mkdir -p .venv/bin; touch .venv/bin/poe; else echo "uv $*"; fi\n'
    environment = search_path(tmp_path / "bin", uv=uv, poe="echo another; exit 1\n")
    report = prove(project(tmp_path / "late"), environment)

    assert ["uv run --quiet --no-sync poe check"] == report["runs"][0]["tail"]
    assert "proven" == finding(report, "unit-tests")["proof"]


def test_an_environment_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    environment = search_path(tmp_path / "bin", uv="echo no network; exit 2\n")
    report = prove(project(tmp_path / "late"), environment)

    assert "`poe` is not on PATH, and `uv sync` failed: no network" == report["runs"][0]["reason"]
    assert "static" == finding(report, "unit-tests")["proof"]


def test_a_repository_with_nothing_to_run_is_reported_as_such(tmp_path: Path) -> None:
    files = {path: text for path, text in TESTED.items() if "ci.yml" not in path}
    folder = project(tmp_path / "late", files)

    assert "Nothing that could be run was found" in rung("check", folder, "--prove").stdout


def test_without_the_option_nothing_is_run(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    environment = search_path(tmp_path / "bin", poe=f"touch {sprung}\n", git=f"touch {sprung}\n")
    done = rung("check", project(tmp_path / "late"), environment=environment, expect=0)

    assert not sprung.exists()
    assert "Run in a copy" not in done.stdout


def test_what_runs_changes_nothing_of_the_original(tmp_path: Path) -> None:
    folder = project(tmp_path / "late")
    plant(folder, {"new.txt": "not committed\n", "model.pyc": "ignored\n"})
    (folder / "train.py").unlink()
    script = (
        "set -e\ntest -f new.txt\ntest ! -e train.py\ntest ! -e model.pyc\n"
        'git log --format=%s | grep -q Start\ntest -z "$(git remote)"\n'
        "echo changed >predict.py\nrm README.md\ntouch made.txt\ngit add --all\n"
        f"git {' '.join(IDENTITY)} commit --quiet -m Changed\ngit gc --quiet\n"
    )
    before = everything(folder)
    report = prove(folder, search_path(tmp_path / "bin", poe=script))

    assert "passed" == report["runs"][0]["result"], report["runs"]
    assert before == everything(folder)


def test_a_folder_without_git_is_copied_too(tmp_path: Path) -> None:
    folder = plant(tmp_path / "late", PROJECT | {".venv/a": "a", "tests/fixtures/b": "b"})
    (folder / "away").symlink_to("/etc")
    (folder / "near").symlink_to("train.py")
    script = "test ! -e .venv && test -f tests/fixtures/b && test ! -e away && test -L near\n"
    report = prove(folder, search_path(tmp_path / "bin", poe=script))

    assert "passed" == report["runs"][0]["result"], report["runs"]


def test_a_folder_of_a_repository_is_run_in_its_place(tmp_path: Path) -> None:
    top = project(tmp_path / "top", {f"models/late/{path}": text for path, text in PROJECT.items()})
    script = "test -f pyproject.toml && test -f ../../models/late/predict.py\n"
    report = prove(top / "models/late", search_path(tmp_path / "bin", poe=script))

    assert "passed" == report["runs"][0]["result"], report["runs"]


def test_a_copy_of_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copied, "MAX_BYTES", 10)

    with pytest.raises(Exception, match="would have to be copied"):
        copied.copy(plant(tmp_path / "a", {"b": "more than ten bytes"}), tmp_path / "copy")


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_leaves_no_copy(tmp_path: Path, stop: signal.Signals) -> None:
    folder = project(tmp_path / "late")
    mark = tmp_path / "runs"
    environment = search_path(tmp_path / "bin", poe=f"touch {mark}; sleep 60\n")
    here = tmp_path / "temporary"
    here.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (environment | {"TMPDIR": str(here)}).items():
            patch.setenv(name, value)
        process = running("check", folder, "--prove")
    code, output = stopped(process, stop, mark.exists)

    assert 130 == code, output
    assert not list(here.iterdir())


def test_every_proof_names_capabilities_and_holds_a_predicate() -> None:
    known = {name for rung_ in LADDER for name in rung_.capabilities}

    for proof in proving.load_proofs(ROOT / "levels"):
        assert set(proof.proves) <= known
        assert proof.about and proof.run
        assert isinstance(proof.when, dict)
