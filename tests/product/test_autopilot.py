"""`poe autopilot` does what its rules say, once, whatever kills it and whoever else runs it."""

import itertools
import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.product import variants
from tests.product.conftest import run
from tests.product.flown import (
    CREDITS,
    EAGER,
    FEW,
    MOMENT,
    Flown,
    first_release,
    override,
    share_environment,
    tree,
)
from tests.product.serving import eventually

__all__ = ["first_release"]  # a fixture
pytestmark = pytest.mark.slow

KILLED_PASS = ROOT / "tests/assets/killed_pass.py"
KILLED_AT = ROOT / "tests/assets/killed_at"
STEPS = [
    *("look", "settle", "decide", "collect", "commit rows", "choose", "train", "commit run"),
    *("gate", "release", "publish", "deploy"),
]
PATIENCE = 600.0  # seconds

# Files at whose writing the machine is switched off, in the order in which a pass comes to them.
WRITTEN = {
    "new rows": r"data/incoming/served-[^/]*\.parquet$",
    "their record": r"data/incoming/.*\.dvc$",
    "the rows, validated": r"data/rows\.parquet$",
    "the lock of the pipeline": r"/dvc\.lock$",
    "the model": r"model/model\.skops$",
    "the run, registered": r"reports/run\.json$",
    "the verdict": r"reports/gate\.json$",
    "the bundle": r"candidates/\.new-.*manifest\.json$",
    "the copy of the bundle": r"production/bundles/\.",
    "the state of production": r"production/\.?state\.json",
    "the history of production": r"production/history\.jsonl$",
}


@pytest.fixture(scope="module")
def calm(first_release: Callable[[str], Flown], tmp_path_factory: pytest.TempPathFactory) -> Flown:
    made = first_release("velocity").copy(tmp_path_factory.mktemp("flown") / "project")
    made.answer("2013-02-01", "2013-03-01")
    return made


@pytest.fixture(scope="module")
def moved(calm: Flown, tmp_path_factory: pytest.TempPathFactory) -> Flown:
    """The same project, after a month with other flights than it has learned from."""
    made = calm.copy(tmp_path_factory.mktemp("moved") / "project")
    made.answer("2013-05-25", "2013-06-01", "--origin", "JFK")
    return made


@pytest.fixture(scope="module")
def undisturbed(moved: Flown, tmp_path_factory: pytest.TempPathFactory) -> Flown:
    """The same project after an undisturbed pass."""
    made = moved.copy(tmp_path_factory.mktemp("undisturbed") / "project")
    made.autopilot()
    return made


def timeless(value: object) -> str:
    """Write as JSON, without the moments at which something happened."""
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", "", json.dumps(value, sort_keys=True))


def came_to(flown: Flown) -> dict[str, object]:
    """All that a pass leaves behind, but for times, tries and the registry's random names."""
    last = flown.passes()[-1]
    random = r"[0-9a-f]{32,40}"  # the lock of the pipeline names the run
    details = [
        (each["step"], bool(each["ended"]), each["detail"])
        for each in last["steps"]
        if each["step"] not in ("look", "gate")
    ]
    return {
        "passes": len(flown.passes()),
        "outcome": last["outcome"],
        "summary": last["summary"],
        "steps": re.sub(random, "", json.dumps(details, sort_keys=True)),
        "versions": flown.versions(),
        "commits": flown.git("log", "--format=%an %s").splitlines(),
        "changed": flown.git("status", "--porcelain"),
        "candidates": flown.candidates(),
        "state": timeless({k: v for k, v in flown.state().items() if k != "entry"}),
        "history": timeless([(each["event"], each["detail"]) for each in flown.history()]),
        "bundles": sorted(p.name for p in (flown.releases() / "production/bundles").iterdir()),
    }


def wait_for(process: "subprocess.Popen[str]") -> tuple[int, str]:
    output, _ = process.communicate(timeout=PATIENCE)
    return process.returncode, output


def test_drift_leads_to_a_release_on_trial(undisturbed: Flown) -> None:
    last = undisturbed.passes()[-1]
    decided = next(each["detail"] for each in last["steps"] if each["step"] == "decide")

    assert STEPS == [each["step"] for each in last["steps"]]
    assert "features have drifted" in " ".join(decided["reasons"])
    assert last["outcome"] == "on trial"
    assert undisturbed.versions() == ["1", "2"]
    assert len(undisturbed.candidates()) == 2
    assert undisturbed.state()["shadow"]["release"].startswith("v2-")
    assert undisturbed.state()["serving"].startswith("v1-")
    assert (
        undisturbed.git("log", "-2", "--format=%an %s")
        .splitlines()[1]
        .startswith("autopilot data: add")
    )
    assert undisturbed.git("status", "--porcelain") == ""


def test_looking_changes_nothing(moved: Flown, tmp_path: Path) -> None:
    flown = moved.copy(tmp_path / "project")
    before = tree(flown.folder)

    output = flown.autopilot("--look")

    assert "Decided: retrain" in output
    assert before == tree(flown.folder)


def test_a_machine_that_is_switched_off_in_the_middle_of_each_step_loses_nothing(
    moved: Flown, undisturbed: Flown, tmp_path: Path
) -> None:
    flown = moved.copy(tmp_path / "project")
    for name, pattern in WRITTEN.items():
        once = tmp_path / name
        process = flown.begin(
            *("-m", "rung_ops", "autopilot", "--now", MOMENT),
            PYTHONPATH=str(KILLED_AT),
            KILLED_AT=pattern,
            KILLED_ONCE=str(once),
        )
        code, output = wait_for(process)
        assert once.exists(), f"{name} was never written:\n{output}"
        assert code == -signal.SIGKILL, f"{name}:\n{output}"

    output = flown.autopilot()

    assert came_to(undisturbed) == came_to(flown), output


def test_what_a_killed_pass_had_started_is_waited_for_and_not_done_twice(
    moved: Flown, undisturbed: Flown, tmp_path: Path
) -> None:
    flown = moved.copy(tmp_path / "project")
    process = flown.begin("-m", "rung_ops", "autopilot", "--now", MOMENT)
    assert process.stdout is not None
    for line in process.stdout:  # the pipeline says which stage it runs
        if "Running stage 'train'" in line:
            break
    os.kill(process.pid, signal.SIGKILL)
    process.wait()

    output = flown.autopilot()

    assert "still running: waiting for it" in output
    assert came_to(undisturbed) == came_to(flown)


def test_of_two_at_a_time_the_second_is_sent_away(moved: Flown, tmp_path: Path) -> None:
    flown = moved.copy(tmp_path / "project")
    # It gets as far as it takes to see that it went on, and dies before it trains.
    first = flown.begin(KILLED_PASS, "8", "before", "--now", MOMENT)
    assert eventually(flown.passes, PATIENCE)

    reported = flown.python("-m", "rung_ops", "autopilot", "--now", MOMENT, expect=1)
    code, output = wait_for(first)

    (only,) = flown.passes()
    assert f"The autopilot is already running: process {first.pid}" in reported
    assert code == -signal.SIGKILL, output
    assert [each["tries"] for each in only["steps"]] == [1] * len(STEPS[:4])
    assert [each["step"] for each in only["steps"]] == STEPS[:4]


def test_a_pass_that_failed_can_be_given_up(moved: Flown, tmp_path: Path) -> None:
    flown = moved.copy(tmp_path / "project")
    start = flown.git("rev-parse", "HEAD")
    process = flown.begin(KILLED_PASS, "8", "before", "--now", MOMENT)  # rows written, not told
    assert wait_for(process)[0] == -signal.SIGKILL
    assert list((flown.folder / "data/incoming").glob("served-*"))

    output = flown.autopilot("--abandon")

    assert "is abandoned" in output
    assert flown.passes()[-1]["outcome"] == "abandoned"
    assert not list((flown.folder / "data/incoming").glob("served-*"))
    assert (flown.git("status", "--porcelain"), flown.git("rev-parse", "HEAD")) == ("", start)
    assert "No pass is open" in flown.autopilot("--abandon")


def test_a_version_that_the_gate_refuses_answers_no_request(moved: Flown, tmp_path: Path) -> None:
    flown = moved.copy(tmp_path / "project")
    flown.override("ops/gate.toml", "min_rows = 200", "min_rows = 1000000")

    output = flown.autopilot()
    again = flown.autopilot("--now", "2013-06-02")

    assert "the gate refused version 2" in output
    assert flown.passes()[0]["outcome"] == "refused"
    assert len(flown.candidates()) == 1
    assert flown.state()["shadow"] is None
    assert "held back, as" in again
    assert flown.versions() == ["1", "2"]


def test_a_checkout_that_is_thrown_away_takes_nothing_with_it(moved: Flown, tmp_path: Path) -> None:
    """As in CI: each pass has a fresh clone; releases, log, outcomes and registry outlive it."""
    origin, shared = tmp_path / "origin.git", tmp_path / "shared"
    base = moved.copy(shared / "project")
    base.override(".dvc/config", "../dvc_remote", str(shared / "rows"))
    base.git("clone", "--quiet", "--bare", str(base.folder), str(origin))
    branch = base.git("branch", "--show-current")
    variables = moved.variables | {
        "RELEASES": str(base.folder / "releases"),
        "LOGS": str(base.folder / "logs"),
        "OUTCOMES": str(base.folder / "data/outcomes"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{base.folder}/mlflow.db",
        "RELEASE_PRIVATE_KEY": (base.folder / ".keys/release.pem").read_text(),
        "AUTOPILOT_PUSH": f"origin {branch}",
        # The environment holds the package of another checkout.
        "PYTHONPATH": "src",
    }
    numbers = itertools.count(1)

    def clone() -> Flown:
        directory = tmp_path / f"clone-{next(numbers)}"
        base.git("clone", "--quiet", str(origin), str(directory))
        share_environment(base.folder, directory)
        return Flown(directory, variables)

    first = clone()
    process = first.begin(KILLED_PASS, "12", "before", "--now", MOMENT)  # trained, not told
    assert wait_for(process)[0] == -signal.SIGKILL
    lost = clone().autopilot()
    pushed = base.git("ls-remote", str(origin), branch).split()[0]
    last = clone()
    last.poe("pull")
    after = last.autopilot("--now", "2013-06-02")

    assert "its commits are not in this checkout: starting a new one" in lost
    assert [each["outcome"] for each in last.passes()] == ["abandoned", "on trial", "wait"]
    assert pushed == last.git("rev-parse", "HEAD")
    assert last.state()["shadow"]["release"] in after
    assert last.git("log", "-1", "--format=%s").startswith("pipeline: train version")


def test_under_governance_a_pass_prepares_everything_and_stops_at_the_approval(
    first_release: Callable[[str], Flown], tmp_path: Path
) -> None:
    flown = first_release("governance").copy(tmp_path / "project", shared=False)
    run("uv", "sync", "--quiet", cwd=flown.folder)
    override(flown.folder, *EAGER)
    flown.commit("Train on few rows")
    flown.answer("2013-05-25", "2013-06-01", "--after", str(FEW), sample=CREDITS)
    first = flown.state()["serving"]

    output = flown.autopilot()
    again = flown.autopilot("--now", "2013-06-20")

    prepared = flown.state()["shadow"]["release"]
    events = [each["event"] for each in flown.history()]
    assert prepared.startswith("v2-")
    assert [each["outcome"] for each in flown.passes()] == ["waits for approval", "wait"]
    assert STEPS == [each["step"] for each in flown.passes()[0]["steps"]]
    assert "is not served until a person approves it" in output
    assert "the next training waits for its verdict" in again
    assert flown.state()["serving"] == first
    assert flown.state()["canary"] is None
    assert "judged" in events
    assert "there is no validation of version 2" in flown.poe("promote", "2", expect=1)
    assert flown.state()["serving"] == first

    variants.validate(variants.Project(flown.folder), "2")
    flown.poe("promote", "2")
    settled = flown.autopilot("--now", "2013-06-21")

    assert flown.state()["serving"] == prepared
    assert f"{prepared}: was promoted and is served" in settled
