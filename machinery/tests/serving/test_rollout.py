"""A good release reaches everybody, a bad one is aborted at once, and chance rarely decides."""

import base64
import shutil
import stat
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest

from machinery.tests.conftest import LogCapture, Patch
from rung_ops.errors import SettingsError
from rung_ops.model.target import Kind
from rung_ops.prediction_log import sealed
from rung_ops.release import history, state
from rung_ops.release.history import Canary, State
from rung_ops.release.rollout import (
    Comparison,
    Policy,
    Trial,
    TrialVerdict,
    canary_verdict,
    read_policy,
    shadow_verdict,
)
from rung_ops.serving.rollout import Evidence, Rollout, TrafficSplit
from rung_ops.statistics.intervals import exceeds, ks_lower_bound, wilson_upper_bound
from rung_ops.system import key_names

ROLLOUT = """
false_abort = 0.01
[shadow]
share = 0.25
min_rows = 1000
min_seconds = 60
enough_seconds = 86400
max_failed = 0.01
max_changed = 0.5
changed_by = 2.0
[canary]
steps = [0.01, 0.25, 1.0]
min_requests = 500
min_seconds = 60
enough_seconds = 86400
max_bad_increase = 0.01
max_latency_ratio = 2.0
max_drift = 0.5
"""
ENOUGH = 100.0  # seconds, more than min_seconds


def policy_of(folder: Path, text: str) -> Policy:
    path = folder / "rollout.toml"
    path.write_text(text, encoding="utf-8")
    read = read_policy(path, folder / "service.toml")
    assert read is not None
    return read


@pytest.fixture
def team(tmp_path: Path) -> Policy:
    return policy_of(tmp_path, ROLLOUT)


def answered(
    trial: Trial,
    arm: str,
    requests: int,
    draws: np.random.Generator,
    failed: float = 0.0,
    seconds: float = 0.002,
    moved: float = 0.0,
    batch: int = 5,
) -> None:
    """Let an arm answer requests, with a share that fails, a typical time, and a shift."""
    for _ in range(0, requests, batch):
        fails = int(draws.binomial(batch, failed))
        trial.fail(arm, fails)
        took = [seconds * float(np.exp(draws.normal(0, 0.3)))] * (batch - fails)
        keys = [f"{draws.integers(2**60)}" for _ in took]
        trial.observe(arm, took, keys, draws.beta(2, 6, len(took)) + moved)


def judged(team: Policy, seed: int = 0, **canary: float) -> tuple[TrialVerdict, int]:
    """Run a step at 25 % and look after every batch; give the verdict and the requests it took."""
    draws, trial = np.random.default_rng(seed), Trial(team.slow)
    result = TrialVerdict("wait", "")
    while result.action == "wait" and trial.canary.requests <= 500:
        answered(trial, "serving", 15, draws, failed=0.002)
        answered(trial, "canary", 5, draws, **{"failed": 0.002} | canary)  # type: ignore[arg-type]
        result = canary_verdict(trial.serving, trial.canary, team, ENOUGH)
    return result, trial.canary.requests


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"failed": 1.0}, "requests failed"),
        ({"failed": 0.2}, "requests failed"),
        ({"seconds": 0.3}, "took longer than 100 ms"),
        ({"seconds": 0.02}, "the typical request takes"),
        ({"moved": 0.6}, "Kolmogorov-Smirnov"),
    ],
)
def test_a_bad_release_goes_back_early_and_the_reason_is_reported(
    team: Policy, fault: dict[str, float], reason: str
) -> None:
    for seed in range(5):
        result, requests = judged(team, seed=seed, **fault)  # type: ignore[arg-type]

        assert result.action == "abort"
        assert reason in result.reason
        assert requests < 250


def test_what_takes_twice_as_long_and_is_quick_all_the_same_is_not_slow(team: Policy) -> None:
    assert judged(team, seconds=0.0045)[0].action == "advance"


def test_little_traffic_waits_and_says_for_what(team: Policy) -> None:
    draws, trial = np.random.default_rng(0), Trial(team.slow)
    nothing = canary_verdict(trial.serving, trial.canary, team, 18 * 3600)
    answered(trial, "canary", 20, draws)
    little = canary_verdict(trial.serving, trial.canary, team, 3600)
    answered(trial, "serving", 1500, draws)
    answered(trial, "canary", 480, draws)
    soon = canary_verdict(trial.serving, trial.canary, team, 20)

    assert nothing == TrialVerdict("wait", "500 more of 500 requests, or 6 hours")
    assert little == TrialVerdict(
        "wait", "480 more of 500 requests, about 24 hours at this rate, or 23 hours"
    )
    assert soon == TrialVerdict("wait", "40 more seconds")


def test_a_canary_that_has_answered_nothing_waits_however_late(team: Policy) -> None:
    trial = Trial(team.slow)
    unseen = canary_verdict(trial.serving, trial.canary, team, 86_401)
    trial.fail("canary", 2)  # too few to be certain of, and no reason to go on

    result = canary_verdict(trial.serving, trial.canary, team, 86_401)

    assert unseen == TrialVerdict(
        "wait", "its 24 hours are over, and it has answered no requests yet"
    )
    assert result.action == "wait"


SMALL = (
    ROLLOUT.replace("share = 0.25", "share = 1.0")
    .replace("[0.01, 0.25, 1.0]", "[0.5, 1.0]")
    .replace("enough_seconds = 86400", "enough_seconds = 259200", 1)
    .replace("enough_seconds = 86400", "enough_seconds = 604800")
)
DAY = 86_400.0


@pytest.fixture
def small(tmp_path: Path) -> Policy:
    """A policy for 24 requests a day."""
    return policy_of(tmp_path, SMALL)


def days(small: Policy, draws: np.random.Generator, failed: float = 0.0) -> TrialVerdict:
    """Run the canary of 24 requests a day until it is decided, and look after each."""
    trial, result, at = Trial(small.slow), TrialVerdict("wait", ""), 0.0
    while result.action == "wait":
        at += float(draws.exponential(DAY / 24))
        canary = draws.random() < 0.5
        answered(trial, "canary" if canary else "serving", 1, draws, failed * canary, batch=1)
        result = canary_verdict(trial.serving, trial.canary, small, at)
    return result


def test_with_little_traffic_time_is_enough(small: Policy) -> None:
    draws, trial = np.random.default_rng(0), Trial(small.slow)
    answered(trial, "serving", 90, draws)
    answered(trial, "canary", 20, draws, batch=1)
    early = canary_verdict(trial.serving, trial.canary, small, 6 * DAY)

    assert early == TrialVerdict(
        "wait", "480 more of 500 requests, about 5 months at this rate, or 24 hours"
    )
    assert canary_verdict(trial.serving, trial.canary, small, 7 * DAY) == TrialVerdict(
        "advance", "nothing speaks against it in 20 requests and 7 days"
    )


def test_with_little_traffic_few_good_releases_and_gross_errors_are_sent_back(
    small: Policy,
) -> None:
    draws = np.random.default_rng(9)
    good = sum(days(small, draws).action == "abort" for _ in range(150))
    gross = sum(days(small, draws, failed=0.5).action == "abort" for _ in range(50))

    # 0.01 is promised for the whole way; by chance alone more than 5 in 150 come once in 10,000.
    assert good <= 5
    assert gross >= 47


def test_a_shadow_of_little_traffic_may_answer_after_its_days(small: Policy) -> None:
    result = compared(72, lambda serving: serving + 0.01)

    assert shadow_verdict(result, small, 2 * DAY).action == "wait"
    assert shadow_verdict(result, small, 3 * DAY).action == "advance"
    assert (
        shadow_verdict(compared(72, lambda serving: 1000 * serving), small, DAY).action == "abort"
    )


@pytest.mark.parametrize("also", ["", "enough_seconds = 86400\n"])
def test_max_seconds_of_an_earlier_version_ends_a_stage_where_nothing_else_does(
    tmp_path: Path, team: Policy, also: str
) -> None:
    seconds = 86400 if not also else 259200
    text = ROLLOUT.replace("enough_seconds = 86400\n", f"max_seconds = {seconds}\n{also}")

    assert policy_of(tmp_path, text) == team


def compared(rows: int, change: Callable[[np.ndarray], np.ndarray], failed: int = 0) -> Comparison:
    result = Comparison()
    serving = np.random.default_rng(1).beta(2, 6, rows)
    result.observe(serving, change(serving))
    result.fail(failed)
    return result


def test_a_shadow_has_to_be_seen_long_enough(team: Policy) -> None:
    result = compared(800, lambda serving: serving)

    assert shadow_verdict(result, team, 10) == TrialVerdict(
        "wait", "200 more of 1000 rows, about 2 seconds at this rate, or 24 hours"
    )


@pytest.mark.parametrize(
    ("change", "failed", "reason"),
    [
        (lambda serving: 1 - serving, 0, "differ from the serving release's by more than 2"),
        (lambda serving: serving * 1000, 0, "differ"),
        (lambda serving: serving, 30, "could not score 30 of 130 rows"),
        (lambda serving: np.full(len(serving), np.nan), 0, "could not score 100 of 100 rows"),
    ],
)
def test_a_shadow_with_a_gross_error_never_answers(
    team: Policy, change: Callable[[np.ndarray], np.ndarray], failed: int, reason: str
) -> None:
    result = shadow_verdict(compared(100, change, failed), team, ENOUGH)

    assert result.action == "abort"
    assert reason in result.reason


def test_one_row_sent_again_and_again_is_not_evidence(team: Policy) -> None:
    result, zeros = Comparison(), Comparison()
    result.observe(np.full(900, 0.2), np.full(900, 0.3))
    of_either_sign = np.append(np.arange(1.0, 100.0), [0.0, -0.0])
    zeros.observe(of_either_sign, of_either_sign + 0.1)

    assert shadow_verdict(result, team, ENOUGH).action == "wait"
    assert zeros.changed(2.0) == (0, 100)


# The chances that are claimed, at a small size.


def test_looking_all_the_time_raises_few_false_alarms() -> None:
    draws = np.random.default_rng(5)
    tries, alarm = 400, 0.05
    raised = 0
    for _ in range(tries):
        events = np.cumsum(draws.random(1000) < 0.1)
        raised += any(exceeds(int(events[n]), n + 1, 0.1, alarm) for n in range(0, 1000, 5))

    assert raised / tries <= alarm


def test_distributions_are_certainly_apart_only_if_they_are() -> None:
    draws = np.random.default_rng(7)
    for _ in range(50):
        first, second = draws.normal(size=2000), draws.normal(size=1000)
        looks = [ks_lower_bound(first[: 2 * n], second[:n], 0.05)[1] for n in range(20, 1000, 100)]

        assert max(looks) == 0.0

    observed, certain = ks_lower_bound(draws.normal(size=2000), draws.normal(2.0, size=2000), 0.001)
    # Two standard deviations are a distance of 0.68.
    assert observed == pytest.approx(0.68, abs=0.05)
    assert 0.4 < certain < observed


def test_bounds_and_limits_at_the_ends() -> None:
    assert wilson_upper_bound(0, 0) == 1.0
    assert wilson_upper_bound(0, 1000) == pytest.approx(0.0089, abs=1e-4)
    assert wilson_upper_bound(10, 1000) == pytest.approx(0.0241, abs=1e-3)
    assert wilson_upper_bound(5, 5) == 1.0
    assert exceeds(3, 3, 0.0, 0.01) and not exceeds(3, 3, 1.0, 0.01)
    assert not exceeds(0, 3, 0.0, 0.01)


# What the service makes of it.


class Clock:
    """Tells the time it is set to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An environment that serves v1."""
    made = tmp_path / "production"
    made.mkdir()
    state.serve(made, "v1", "Ada")
    return made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rollout(folder: Path, team: Policy, clock: Clock) -> Rollout:
    return Rollout(folder, team, clock)


def answer(rollout: Rollout, requests: int = 500, **canary: float) -> None:
    draws = np.random.default_rng(3)
    assert rollout._trial is not None
    answered(rollout._trial, "serving", 3 * requests, draws)
    answered(rollout._trial, "canary", requests, draws, **canary)  # type: ignore[arg-type]


def events(folder: Path) -> list[str]:
    return [each["event"] for each in history.read(folder / state.HISTORY)]


def reason(folder: Path) -> str:
    """Return why the last change was made."""
    return str(history.read(folder / state.HISTORY)[-1]["detail"]["reason"])


def test_a_release_goes_from_the_shadow_to_everybody(
    folder: Path, rollout: Rollout, clock: Clock
) -> None:
    now = state.shadow(folder, "v2", 0.25, "Ada")
    result = Comparison()
    assert rollout.step(now, result) == now
    clock.now += ENOUGH
    serving = np.random.default_rng(1).beta(2, 6, 1000)
    result.observe(serving, serving)
    now = rollout.step(now, result)
    shares = []
    for _ in range(2):
        assert now.shadow is None
        shares.append(rollout.arms(now).share)
        assert rollout.step(now) == now  # what was answered before this step does not count
        clock.now += ENOUGH
        answer(rollout)
        now = rollout.step(now)

    assert shares == [0.01, 0.25]
    assert (now.serving, now.previous, now.canary) == ("v2", ("v1",), None)
    assert events(folder) == ["serve", "shadow", "canary", "advance", "promote"]
    assert state.read(folder) == now


def test_a_trial_takes_the_steps_of_its_plan(folder: Path, rollout: Rollout, clock: Clock) -> None:
    now = state.shadow(folder, "v2", 1.0, "Ada", plan=state.Plan((0.5, 1.0)))
    rollout.step(now, Comparison())
    clock.now += DAY
    now = rollout.step(now, compared(1, lambda serving: serving))
    share = rollout.arms(now).share
    rollout.step(now)
    answer(rollout, 5)
    clock.now += DAY
    now = rollout.step(now)

    assert share == 0.5
    assert (now.serving, now.canary) == ("v2", None)


def test_time_alone_does_not_let_a_release_answer_that_the_gate_has_not_passed(
    folder: Path, rollout: Rollout, clock: Clock
) -> None:
    plan = state.Plan((0.5, 1.0), passed_gate=False)
    now = state.shadow(folder, "v2", 1.0, "Ada", plan=plan)
    rollout.step(now, Comparison())
    clock.now += 100 * DAY

    assert rollout.step(now, compared(999, lambda serving: serving)) == now
    assert rollout.step(now, compared(1000, lambda serving: serving)).canary is not None


def test_a_service_that_starts_again_starts_neither_the_time_nor_the_evidence_again(
    folder: Path, team: Policy, clock: Clock
) -> None:
    now = state.canary(folder, "v2", "Ada")
    assert now.canary is not None
    clock.now = datetime.fromisoformat(now.canary.since).timestamp()
    before = Rollout(folder, team, clock)
    before.step(now)
    answer(before, 5)
    assert before.step(now) == now
    clock.now += DAY

    assert Rollout(folder, team, clock).step(now) != now


def test_a_bad_canary_goes_back_at_once_and_the_history_says_why(
    folder: Path, rollout: Rollout
) -> None:
    now = state.canary(folder, "v2", "Ada")
    rollout.step(now)
    answer(rollout, 50, failed=1.0)
    now = rollout.step(now)

    assert (now.serving, now.canary) == ("v1", None)
    last = history.read(folder / state.HISTORY)[-1]
    assert (last["event"], last["by"]) == ("abort", "service")
    assert "50 of 50 requests failed" in reason(folder)
    assert rollout.arms(now).share == 0


@pytest.mark.parametrize(("by", "told"), [("Ada", 1), ("autopilot", 0)])
def test_who_deployed_a_release_that_is_aborted_is_told_by_the_hook_notify(
    folder: Path, rollout: Rollout, monkeypatch: Patch, by: str, told: int
) -> None:
    """The autopilot tells of its own releases itself."""
    started: list[tuple[str, str]] = []
    thread = SimpleNamespace(start=lambda: None)
    monkeypatch.setattr(
        "rung_ops.serving.rollout.Thread",
        lambda target, args, daemon: started.append(args) or thread,
    )
    now = state.shadow(folder, "v2", 0.25, by)
    now = state.canary(folder, "v2", "service")

    rollout.unloadable(now, "v2", "model.sig is of another key")

    assert [subject for subject, _ in started] == ["v2 was aborted"] * told


def test_a_release_on_trial_that_cannot_be_loaded_goes_back_alone(
    folder: Path, rollout: Rollout
) -> None:
    state.canary(folder, "v2", "Ada")
    now = state.shadow(folder, "v3", 1.0, "Ada")
    assert rollout.unloadable(now, "v4", "unsigned") == now
    now = rollout.unloadable(now, "v3", "model.sig is of another key")

    assert now.canary is not None and now.canary.release == "v2"
    assert now.shadow is None
    assert reason(folder) == "it cannot be loaded: model.sig is of another key"


def test_a_busy_hour_is_not_taken_for_a_slow_release(team: Policy) -> None:
    draws, trial = np.random.default_rng(1), Trial(team.slow)
    # At a share of one in two hundred; quiet at first, and busy for both later.
    for hour, seconds in ((0, 0.003), (1, 0.03), (2, 0.03)):
        for _ in range(100):
            answered(trial, "serving", 1000, draws, seconds=seconds)
            answered(trial, "canary", 5, draws, seconds=seconds)
        result = canary_verdict(trial.serving, trial.canary, team, ENOUGH)
        assert result.action != "abort", (hour, result.reason)


def test_of_two_replicas_one_moves_the_state(folder: Path, team: Policy, clock: Clock) -> None:
    now = state.canary(folder, "v2", "Ada")
    replicas = [Rollout(folder, team, clock) for _ in range(2)]
    for replica in replicas:
        replica.step(now)
        answer(replica)
    clock.now += ENOUGH
    first, second = (replica.step(now) for replica in replicas)

    assert first.canary is not None and first.canary.step == 1
    assert second == now
    assert state.read(folder) == first


@pytest.mark.parametrize("keys", ["", f"2027:{base64.b64encode(bytes(32)).decode()}"])
def test_processes_judge_what_all_of_them_have_answered(
    folder: Path, team: Policy, clock: Clock, monkeypatch: Patch, keys: str
) -> None:
    monkeypatch.setenv(key_names.LOG, keys)
    now = state.canary(folder, "v2", "Ada")
    first, second = (Rollout(folder, team, clock) for _ in range(2))
    for process in (first, second):
        process.step(now)
        answer(process, 250)
    clock.now += ENOUGH

    assert first.step(now) == now
    assert first.last is not None and first.last.reason.startswith("250 more of 500 requests")
    written = list((folder / "evidence").glob("*/*"))
    files = [(stat.S_IMODE(path.stat().st_mode), sealed.is_sealed(path)) for path in written]
    assert files == [(0o600, bool(keys))] * 2
    assert second.step(now) != now
    second.step(state.read(folder))  # another step has evidence of its own
    assert not any(path.exists() for path in written)


def test_each_key_counts_once_in_all_processes() -> None:
    one, other = Trial(1.0), Trial(1.0)
    one.observe("canary", [0.1], ["a", "b"], np.array([1.0, 2.0]))
    other.observe("canary", [0.2], ["b", "c"], np.array([20.0, 3.0]))

    both = one + other

    assert list(both.canary.predictions.values()).count(2.0) == 1
    assert sorted(both.canary.predictions.values()) == [1.0, 2.0, 3.0]
    assert (both.canary.requests, both.canary.seconds) == (2, [0.1, 0.2])


def test_a_shadow_is_compared_in_all_processes(folder: Path, team: Policy, clock: Clock) -> None:
    now = state.shadow(folder, "v2", 0.25, "Ada")
    first, second = (Rollout(folder, team, clock) for _ in range(2))
    for process in (first, second):
        process.step(now, Comparison())
    clock.now += ENOUGH

    assert first.step(now, compared(100, lambda serving: serving)) == now
    assert second.step(now, compared(900, lambda serving: serving + 10)).shadow is None
    assert "900 of 1000 predictions differ" in reason(folder)


def test_a_shadow_of_many_classes_is_compared_in_all_processes(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    kind = Kind(classes=tuple(f"class {number}" for number in range(100)))
    processes = []
    for seed in (1, 2):
        draws = np.random.default_rng(seed).dirichlet(np.ones(100), 500)
        processes.append((Evidence(tmp_path), Comparison(kind)))
        processes[-1][1].observe(draws, draws[:, ::-1])
    (first, own), (second, other) = processes
    for evidence in (first, second):
        evidence.begin("a shadow")
    second.added(other)

    assert first.added(own).changed(0.1) == (1000, 1000)
    monkeypatch.setattr("rung_ops.serving.rollout.read_regular", Mock(side_effect=OSError))
    assert first.added(own).compared == 1000  # what has not changed is not read again


def test_evidence_too_large_for_others_to_read_is_reported(
    folder: Path, team: Policy, clock: Clock, caplog: LogCapture, monkeypatch: Patch
) -> None:
    monkeypatch.setattr("rung_ops.serving.rollout.MAX_BYTES", 1000)
    process = Rollout(folder, team, clock)
    process.step(state.shadow(folder, "v2", 0.25, "Ada"), compared(100, lambda serving: serving))

    assert "judges its own requests" in caplog.text
    assert "would be larger than 1,000 bytes" in caplog.text
    assert not list(folder.glob("evidence/*/*"))


def test_evidence_that_cannot_be_read_or_written_is_done_without(
    folder: Path, team: Policy, clock: Clock, caplog: LogCapture
) -> None:
    now = state.canary(folder, "v2", "Ada")
    broken, alone = (Rollout(folder, team, clock) for _ in range(2))
    broken.step(now)
    (written,) = (folder / "evidence").glob("*/*")
    written.write_bytes(b"half a file")
    alone.step(now)
    answer(alone)
    shutil.rmtree(folder / "evidence")
    (folder / "evidence").write_text("in the way", encoding="utf-8")
    alone.step(now)
    clock.now += ENOUGH

    assert alone.step(now) != now
    alone.step(state.read(folder))  # another step reports it again
    assert sum("judges its own requests" in message for message in caplog.messages) == 2


def test_evidence_of_one_release_does_not_count_for_the_next(
    folder: Path, rollout: Rollout, clock: Clock
) -> None:
    rollout.step(state.canary(folder, "v2", "Ada"))
    answer(rollout)
    clock.now += ENOUGH
    state.abort(folder, "another first", "Ada")
    now = state.canary(folder, "v3", "Ada")

    assert rollout.step(now) == now
    assert rollout.last == TrialVerdict("wait", "500 more of 500 requests, or 24 hours")


def test_nothing_moves_without_a_policy_or_while_the_model_is_stopped(
    folder: Path, tmp_path: Path, rollout: Rollout
) -> None:
    alone = Rollout(folder, read_policy(tmp_path / "no rollout.toml"))
    now = state.shadow(folder, "v2", 1.0, "Ada")
    result = Comparison()
    result.fail(1000)

    assert alone.step(now, result) == now
    assert alone.unloadable(now, "v2", "unsigned") == now
    assert events(folder) == ["serve", "shadow"]
    canary = State(2, "v1", canary=Canary("v2", 0, "2026-01-31T08:00:00"))
    assert alone.arms(canary).share == 0

    stopped = state.stop(folder, "Ada", "audit")
    assert rollout.step(stopped, result) == stopped
    assert state.read(folder).shadow is not None


def test_a_folder_that_cannot_be_written_is_reported_once(
    folder: Path, rollout: Rollout, monkeypatch: Patch, caplog: LogCapture
) -> None:
    def read_only(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    now = state.canary(folder, "v2", "Ada")
    rollout.step(now)
    answer(rollout, failed=1.0)
    monkeypatch.setattr(state, "abort", read_only)

    assert rollout.step(now) == rollout.step(now) == now
    assert sum("Read-only file system" in message for message in caplog.messages) == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (("0.01, 0.25, 1.0", "0.25, 0.01, 1.0"), "do not rise"),
        (("0.01, 0.25, 1.0", ""), "rollout.toml: [canary] steps: expected `array` of length >= 1"),
        (("false_abort = 0.01", ""), "missing required field `false_abort`"),
        (("max_drift = 0.5", "max_drift = 1.5"), "max_drift"),
        (("max_drift", "max_drft"), "max_drft"),
        (("enough_seconds = 86400", "enough_seconds = 59"), "enough_seconds is less than min_sec"),
        (("[canary]", "[canary"), "is not valid TOML"),
    ],
)
def test_a_policy_that_means_nothing_is_refused(
    tmp_path: Path, wrong: tuple[str, str], message: str
) -> None:
    with pytest.raises(SettingsError, match="rollout.toml") as refused:
        policy_of(tmp_path, ROLLOUT.replace(*wrong))
    assert message in str(refused.value)


def test_what_is_slow_is_what_was_promised(tmp_path: Path) -> None:
    (tmp_path / "service.toml").write_text("[slo]\np99_ms = 40\n", encoding="utf-8")

    assert policy_of(tmp_path, ROLLOUT).slow == 0.04


KEYS = [f"{number}" for number in range(50_000)]


def canary(share: float, release: str = "v2") -> set[str]:
    arms = TrafficSplit(release, share)
    return {key for key in KEYS if arms.choose(key) == "canary"}


@pytest.mark.parametrize("share", [0.01, 0.05, 0.25, 0.5])
def test_the_share_is_the_requested_one(share: float) -> None:
    # Five standard errors of a binomial share.
    unsure = 5 * (share * (1 - share) / len(KEYS)) ** 0.5

    assert len(canary(share)) / len(KEYS) == pytest.approx(share, abs=unsure)


def test_a_key_of_a_smaller_share_is_one_of_every_larger_share_of_that_release() -> None:
    assert set() == canary(0.0) < canary(0.01) < canary(0.25) < canary(1.0) == set(KEYS)
    assert {TrafficSplit().choose(key) for key in KEYS[:100]} == {"serving"}
    assert {TrafficSplit(None, 0.5).choose(key) for key in KEYS[:100]} == {"serving"}
    both = canary(0.25) & canary(0.25, "v3")
    assert len(both) / len(KEYS) == pytest.approx(0.25**2, abs=0.01)


def test_the_answer_is_the_same_in_every_process() -> None:
    # Computed once: a change of it would move callers from one release to the other.
    assert sorted(canary(0.0002)) == ["11747", "28578", "35650", "4479", "45378", "7021"]
