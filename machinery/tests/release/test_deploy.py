"""A release comes to production signed, whole, and past the gate, or not at all."""

import errno
import json
import os
import shutil
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from machinery.tests.conftest import Capture, Patch, RunVerb, private_key
from machinery.tests.release.conftest import FIRST, SECOND, copy_as
from rung_ops.gate import rules as gate_rules
from rung_ops.model import bundle
from rung_ops.project import paths
from rung_ops.release import deploy, history, rollout, signing, state
from rung_ops.release.history import Plan, State
from rung_ops.release.rollout import CanaryPolicy, Policy, ShadowPolicy
from rung_ops.system import files

BY = "Ada"


@pytest.fixture(autouse=True)
def apart(monkeypatch: Patch, tmp_path: Path) -> list[str]:
    """Keep the registry and this project's own verdict out of it; the list tells what follows."""
    followed: list[str] = []

    def follow(version: str) -> str:
        followed.append(version)
        return "Followed."

    monkeypatch.setattr(deploy, "set_champion", follow)
    monkeypatch.setattr(gate_rules, "verdict_file", lambda: tmp_path / "gate.json")
    monkeypatch.setenv("LOGS", str(tmp_path / "logs"))
    monkeypatch.setattr(deploy, "read_policy", lambda: None)
    return followed


def rules(share: float) -> Policy:
    """How a team lets releases take over; a share of the shadow."""
    return Policy(
        0.01,
        ShadowPolicy(share, 1000, 60, 259_200, 0.01, 0.5, 2.0),
        CanaryPolicy([0.01, 1.0], 500, 60, 259_200, 0.01, 2.0, 0.5),
    )


@pytest.fixture
def first_serves(releases: Path, production: Path) -> Path:
    """Production, which serves the first release; the gate has passed the second one."""
    deploy.install(production, FIRST)
    state.serve(production, FIRST, BY)
    judged(releases / "candidates" / SECOND, FIRST)
    return production


def judged(release: Path, against: str | None = None, **changes: Any) -> None:
    """Write the verdict of the gate about a candidate."""
    manifest = bundle.read_manifest(release)
    verdict = {
        "promote": True,
        "reasons": [],
        "challenger": {name: str(manifest[name]) for name in deploy.IDENTITY},
        "champion": {"release": against} if against else None,
    }
    gate_rules.verdict_file().write_text(json.dumps(verdict | changes), encoding="utf-8")


STARTS = (
    "A running service answers with it within a second; `uv run poe serve --environment {}` starts "
    "one.\n"
)


def test_staging_answers_at_once_and_asks_for_no_verdict(
    releases: Path, apart: list[str], run_verb: RunVerb
) -> None:
    code, output = run_verb(deploy.main, "staging", FIRST)

    said = f"{FIRST} is the current release in staging.\n{STARTS.format('staging')}"
    assert (code, output) == (0, said)
    assert state.read(releases / "staging").serving == FIRST
    assert state.read(releases / "production") == State()
    assert apart == []


def test_the_newest_candidate_is_taken(
    releases: Path, release_private_key: bytes, run_verb: RunVerb
) -> None:
    first, candidates = releases / "candidates" / FIRST, releases / "candidates"
    later = {"created": "2999-01-01T00:00:00+00:00"}
    copy_as(first, candidates, "v3-a-b", release_private_key, **later)
    (releases / "candidates" / ".new-1").mkdir()  # of a release that is being written

    assert deploy.newest_candidate() == "v3-a-b"
    assert run_verb(deploy.main, "staging")[0] == 0
    code, output = run_verb(deploy.main, "staging")
    assert code == 0
    assert "is the current release in staging already" in output and "poe release" in output


def test_a_release_that_passed_the_gate_is_the_first_to_answer_in_production(
    releases: Path, production: Path, apart: list[str], run_verb: RunVerb
) -> None:
    judged(releases / "candidates" / FIRST)

    code, output = run_verb(deploy.main, "production", FIRST)

    said = f"{FIRST} is the current release in production.\n{STARTS.format('production')}"
    assert (code, output) == (0, f"{said}Followed.\n")
    assert state.read(production).serving == FIRST
    assert apart == ["1"]


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [
        (None, "gate.json is missing; run `uv run poe gate 2`"),
        ("{", "is not a verdict"),
        ({"challenger": {}}, "the gate judged another version"),
        ({"promote": False, "reasons": ["worse than the champion"]}, "- worse than the champion"),
        ({"promote": False}, "the gate rejected it"),
        ({"promote": "yes"}, "the gate rejected it"),
        ({"champion": {"release": "v0"}}, f"did not compare it with {FIRST}"),
        ({"champion": None}, f"did not compare it with {FIRST}"),
    ],
    ids=str,
)
def test_without_a_verdict_for_just_this_nothing_comes_to_production(
    releases: Path,
    production: Path,
    run_verb: RunVerb,
    verdict: str | dict[str, Any] | None,
    reason: str,
) -> None:
    state.serve(production, FIRST, BY)
    if isinstance(verdict, dict):
        judged(releases / "candidates" / SECOND, FIRST, **verdict)
    elif verdict:
        gate_rules.verdict_file().write_text(verdict)

    code, output = run_verb(deploy.main, "production", SECOND, "--at-once")

    assert code == 1
    assert "Nothing was changed in production: it has not passed the gate" in output
    assert reason in output
    assert state.read(production) == State(1, FIRST)


def test_who_goes_past_the_gate_is_recorded_with_the_reason(
    production: Path, run_verb: RunVerb
) -> None:
    code, _ = run_verb(deploy.main, "production", FIRST, "--without-gate", "Row has changed")

    assert code == 0
    first, second = history.read(production / state.HISTORY)
    assert (first["event"], first["detail"]["reason"]) == ("without_gate", "Row has changed")
    assert (second["event"], second["detail"]["release"]) == ("serve", FIRST)


def tampered(release: Path) -> None:
    path = release / bundle.SOURCE
    source = next(path.rglob("features.py"))
    source.write_text(source.read_text() + "\n# harmless\n")


def unsigned(release: Path) -> None:
    (release / bundle.SIGNATURE).unlink()


def signed_by_another(release: Path) -> None:
    (release / bundle.SIGNATURE).unlink()
    signing.sign(release, private_key())


def gone(release: Path) -> None:
    shutil.rmtree(release)


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (tampered, "features.py was changed after it was signed"),
        (unsigned, "is not signed"),
        (signed_by_another, "was signed with another private key"),
        (gone, f"There is no release {FIRST}: "),
    ],
)
@pytest.mark.parametrize("environment", paths.ENVIRONMENTS)
def test_what_the_service_would_refuse_is_not_deployed(
    releases: Path, run_verb: RunVerb, environment: str, harm: Any, reason: str
) -> None:
    judged(releases / "candidates" / FIRST)
    harm(releases / "candidates" / FIRST)

    code, output = run_verb(deploy.main, environment, FIRST)

    assert code == 1
    assert f"Nothing was changed in {environment}" in output
    assert reason in output
    assert state.read(releases / environment) == State()
    assert not list((releases / environment / "bundles").glob("[!.]*"))


def test_a_copy_that_a_full_disk_ends_takes_no_room(
    releases: Path, monkeypatch: Patch, run_verb: RunVerb
) -> None:
    def full(source: Path, target: Path, symlinks: bool) -> None:
        target.mkdir(parents=True)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(deploy.shutil, "copytree", full)

    code, output = run_verb(deploy.main, "staging", FIRST)

    assert (code, "No space left on device" in output) == (1, True)
    assert not (releases / "staging/bundles" / deploy.DRAFT).exists()


def test_without_the_public_key_nothing_is_deployed(
    releases: Path, run_verb: RunVerb, monkeypatch: Patch
) -> None:
    monkeypatch.setenv("RELEASE_KEY", str(releases / "nowhere.pub"))

    code, output = run_verb(deploy.main, "staging", FIRST)

    assert (code, "uv run poe keys" in output) == (1, True)


@pytest.mark.parametrize(
    ("share", "expected"),
    [(None, 1.0), (0.25, 0.25), (0.0, None)],
    ids=["no policy", "a shadow", "no shadow"],
)
def test_the_next_release_is_tried_before_it_answers(
    first_serves: Path,
    apart: list[str],
    run_verb: RunVerb,
    monkeypatch: Patch,
    share: float | None,
    expected: float | None,
) -> None:
    monkeypatch.setattr(deploy, "read_policy", lambda: None if share is None else rules(share))

    code, output = run_verb(deploy.main, "production", SECOND)

    now = state.read(first_serves)
    assert code == 0
    assert (now.serving, now.shadow and now.shadow.share) == (FIRST, expected)
    assert (now.canary is not None and now.canary.release == SECOND) == (expected is None)
    assert ("is the canary" in output) == (expected is None)
    assert ("No request is logged yet" in output) == (share is not None)
    assert apart == ["1"]
    kept = paths.verdicts(first_serves) / f"{SECOND}.json"
    assert kept.read_bytes() == gate_rules.verdict_file().read_bytes()


def test_how_long_it_takes_is_reported_without_deploying(
    production: Path, run_verb: RunVerb, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(deploy, "read_policy", lambda: rules(0.25))
    monkeypatch.setattr(rollout, "logged_traffic", lambda *_: rollout.Traffic(24.0, 24.0))

    code, output = run_verb(deploy.main, "production", "--plan")

    assert code == 0
    assert "At your 24 requests (24 rows) a day, the trial takes about 7 days:" in output
    assert state.read(production) == State()


@pytest.mark.parametrize("passed", [True, False])
def test_the_state_says_how_the_trial_goes_and_whether_the_gate_passed_the_release(
    releases: Path, first_serves: Path, run_verb: RunVerb, monkeypatch: Patch, passed: bool
) -> None:
    steps = structs.replace(rules(1.0).canary, steps=[0.01, 0.25, 1.0])
    monkeypatch.setattr(deploy, "read_policy", lambda: structs.replace(rules(1.0), canary=steps))
    monkeypatch.setattr(rollout, "logged_traffic", lambda *_: rollout.Traffic(27.0, 27.0))
    judged(releases / "candidates" / SECOND, FIRST, promote=passed)

    run_verb(deploy.main, "production", SECOND, "--without-gate", "it is urgent")

    now = state.read(first_serves).shadow
    assert now is not None and now.plan == Plan((0.25, 1.0), passed_gate=passed)
    assert state.canary(first_serves, SECOND, BY).canary.plan == now.plan  # type: ignore[union-attr]


def test_a_log_that_cannot_be_read_stops_no_deployment(
    first_serves: Path, run_verb: RunVerb, monkeypatch: Patch
) -> None:
    def unreadable(*_: Any) -> None:
        raise PermissionError("not yours")

    monkeypatch.setattr(deploy, "read_policy", lambda: rules(0.25))
    monkeypatch.setattr(rollout, "logged_traffic", unreadable)

    code, output = run_verb(deploy.main, "production", SECOND)

    assert (code, "is not known, as the log cannot be read: not yours" in output) == (0, True)
    assert state.read(first_serves).on_trial == (SECOND,)


def test_deploying_again_lets_the_release_on_trial_answer(
    first_serves: Path, run_verb: RunVerb
) -> None:
    run_verb(deploy.main, "production", SECOND)

    code, output = run_verb(deploy.main, "production", SECOND)
    assert (code, "is the shadow, for 100% of the requests" in output) == (0, True)
    assert state.read(first_serves).serving == FIRST

    assert run_verb(deploy.main, "production", SECOND, "--at-once")[0] == 0
    assert state.read(first_serves) == State(3, SECOND, (FIRST,))


def test_what_was_rolled_back_comes_again_only_by_its_name(
    first_serves: Path, run_verb: RunVerb, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(deploy, "newest_candidate", lambda: SECOND)
    state.serve(first_serves, SECOND, BY)
    state.roll_back(first_serves, BY, "too many late answers")

    code, output = run_verb(deploy.main, "production", "--at-once")
    assert code == 1
    assert "was rolled back at" in output and "too many late answers" in output
    assert state.read(first_serves).serving == FIRST

    assert run_verb(deploy.main, "production", SECOND, "--at-once")[0] == 0
    assert state.read(first_serves).serving == SECOND


def test_of_two_deployments_at_once_one_wins_and_the_other_is_reported(
    production: Path, capsys: Capture, monkeypatch: Patch
) -> None:
    both_have_looked = threading.Barrier(2)
    installed = deploy.install

    def wait_and_install(folder: Path, release: str) -> Path:
        path = installed(folder, release)
        both_have_looked.wait(60)
        return path

    monkeypatch.setattr(deploy, "install", wait_and_install)
    codes: dict[str, int] = {}

    def run(release: str) -> None:
        codes[release] = deploy.main(["production", release, "--without-gate", "a race"])

    threads = [threading.Thread(target=run, args=(release,)) for release in (FIRST, SECOND)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(codes.values()) == [0, 1]
    winner = next(release for release, code in codes.items() if code == 0)
    assert state.read(production) == State(1, winner)
    assert "was changed in the meantime: serve by" in capsys.readouterr().err
    assert history.verify(production / state.HISTORY) is None


# What is called just when a copy has come so far.
KILLS: dict[str, tuple[Any, str]] = {
    "the first file": (shutil, "copyfile"),
    "copied": (files, "sync_tree"),
    "on the disk": (Path, "rename"),
    "renamed": (files, "sync"),
}


@pytest.mark.parametrize("at", KILLS)
def test_a_kill_while_it_is_copied_leaves_a_whole_release_or_none(
    production: Path, at: str
) -> None:
    child = os.fork()
    if not child:

        def kill(*_: Any, **__: Any) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        try:
            patch = pytest.MonkeyPatch()
            patch.setattr(
                deploy, "check_bundle", lambda path: None
            )  # needs threads, lost in a fork
            if at == "renamed":
                patch.setattr(files, "sync_tree", lambda folder: None)
            patch.setattr(*KILLS[at], kill)
            deploy.install(production, FIRST)
        finally:
            os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    left = [path.name for path in (production / "bundles").glob("[!.]*")]
    assert left == ([FIRST] if at == "renamed" else [])

    path = deploy.install(production, FIRST)

    assert path == paths.bundle(production, FIRST)
    assert not (production / "bundles" / deploy.DRAFT).exists()


def test_a_damaged_bundle_is_replaced_by_the_candidate(production: Path) -> None:
    path = deploy.install(production, FIRST)
    tampered(path)

    deploy.install(production, FIRST)

    assert b"harmless" not in next((path / bundle.SOURCE).rglob("features.py")).read_bytes()


def test_a_release_of_another_model_is_refused(
    releases: Path, release_private_key: bytes, run_verb: RunVerb
) -> None:
    candidates = releases / "candidates"
    other = copy_as(candidates / FIRST, candidates, "v3-a-b", release_private_key, model="other")

    code, output = run_verb(deploy.main, "staging", other.name)

    assert (code, "v3-a-b is a release of the model other, but this is " in output) == (1, True)
    assert state.read(releases / "staging") == State()
    assert not paths.bundle(releases / "staging", other.name).exists()


def test_bundles_that_nothing_refers_to_are_deleted(production: Path) -> None:
    for release in (FIRST, SECOND):
        deploy.install(production, release)

    assert deploy.delete_unused(production, [SECOND]) == [FIRST]
    assert [path.name for path in (production / "bundles").glob("[!.]*")] == [SECOND]


def test_a_registry_that_is_down_is_reported_and_delays_nothing(monkeypatch: Patch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")

    reported = deploy.set_champion("1")

    assert "alias `champion` could not be set to version 1" in reported
    assert "Run the same command again" in reported
