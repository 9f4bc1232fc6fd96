"""The project's hooks can stop a training or a release, and hear of what happened."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from rung_ops.autopilot import decide, facts, journal, passes, steps
from rung_ops.autopilot import decide as rules
from rung_ops.autopilot.decide import Decision, Facts
from rung_ops.autopilot.journal import Done, Tools
from rung_ops.errors import StageError

AT = "2026-01-31T00:00:00+00:00"
NOW = datetime.fromisoformat(AT)


HELD = {"reasons": ["held back, as 7 rows are new"], "held_back": True, "told": False}


@pytest.fixture(autouse=True)
def releases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A separate journal with releases."""
    monkeypatch.setenv("RELEASES", str(tmp_path))
    return tmp_path


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Any], None]:
    """Make a function the project's hook of a name."""
    named: dict[str, Any] = {}
    monkeypatch.setattr(steps.hooks, "load", named.get)
    return named.__setitem__


def step(name: str, detail: dict[str, Any], outcome: str | None = None) -> dict[str, Any]:
    return {"step": name, "ended": AT, "detail": detail, "outcome": outcome, "summary": "a summary"}


def tools() -> Tools:
    return Tools(rules.read_rules(), None, print)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("action", "outcome"), [(decide.RETRAIN, "vetoed"), (decide.NOTHING, decide.NOTHING)]
)
def test_a_veto_before_training_ends_the_pass_with_its_reason(
    hook: Callable[[str, Any], None], monkeypatch: pytest.MonkeyPatch, action: str, outcome: str
) -> None:
    requests: list[tuple[str, dict[str, Any]]] = []
    hook(steps.VETO, lambda action, facts: requests.append((action, facts)) or "a sale runs")
    known = Facts(NOW, "v1", None, (), False, None, 7)
    monkeypatch.setattr(facts, "gather", lambda *_: known)
    monkeypatch.setattr(steps.rules, "decide", lambda *_: Decision(action, ("drift",)))

    done = steps.decide(tools(), {"steps": []})

    assert (done.outcome, done.then) == (outcome, ())
    if action == decide.RETRAIN:
        assert done.summary == "the project's veto against training: a sale runs"
        assert done.detail["veto"] == "a sale runs"
    asked = [("train", 7)] if action == decide.RETRAIN else []
    assert [(action, facts["new_rows"]) for action, facts in requests] == asked


def test_a_veto_before_releasing_ends_the_pass_and_holds_the_next_training_back(
    hook: Callable[[str, Any], None],
) -> None:
    requests: list[dict[str, Any]] = []
    hook(steps.VETO, lambda action, facts: requests.append(facts) or "not on a Friday")
    ended = [
        step("decide", {"facts": {"new_rows": 7}}),
        step("train", {"version": "2", "run_id": "r"}),
        step("gate", {"verdict": {"passed": True}}),
    ]
    record = {"at": AT, "steps": ended}

    done = steps.release(tools(), record)
    ended.append(step("release", done.detail, done.outcome))

    assert done.outcome == "vetoed"
    assert done.summary == "the project's veto against releasing version 2: not on a Friday"
    assert requests == [{"new_rows": 7, "version": "2", "verdict": {"passed": True}}]
    assert facts._last_set_back([record]) == (NOW, "vetoed")


def failing(error: Exception) -> Any:
    def fail(*_: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("veto", "says"),
    [
        *(
            (lambda *_, answer=answer: answer, "reason as text, or None")
            for answer in ("", True, 1)
        ),
        (failing(OSError("the calendar is down")), "OSError: the calendar is down"),
    ],
)
def test_without_an_answer_of_the_veto_the_pass_stops(
    hook: Callable[[str, Any], None], veto: Any, says: str
) -> None:
    hook(steps.VETO, veto)

    with pytest.raises(StageError, match=says):
        steps.ask_veto(steps.TRAIN, {})


def test_a_veto_that_cannot_be_loaded_stops_the_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps.hooks, "load", failing(StageError("another signature")))

    with pytest.raises(StageError, match="another signature"):
        steps.ask_veto(steps.RELEASE, {})


def test_without_a_hook_nothing_is_vetoed(hook: Callable[[str, Any], None]) -> None:
    assert steps.ask_veto(steps.TRAIN, {}) is None


@pytest.mark.parametrize(
    ("ended", "subjects"),
    [
        (step("settle", {"promoted": "v2", "says": "was promoted"}), ["v2 was promoted"]),
        (step("settle", {"taken back": "v2", "says": "was aborted"}), ["v2 was rolled back"]),
        (step("settle", {"release": "v2", "says": "is in canary"}), []),
        (step("settle", {}), []),
        (step("roll back", {"taken back": "v2"}, "rolled back"), ["v2 was rolled back"]),
        (step("settle", {"aborted": "v2", "says": "was aborted"}), ["v2 was aborted"]),
        (
            step("end trial", {"ended": "v2"}, "trial ended"),
            ["v2 was not promoted: its trial ended"],
        ),
        (step("deploy", {"release": "v2"}, "deployed"), ["v2 was promoted"]),
        (step("deploy", {"release": "v2"}, "on trial"), []),
        (step("gate", {"refused": "2"}, "refused"), []),
        (step("decide", HELD, "nothing"), ["A training is held back"]),
        (step("decide", HELD | {"told": True}, "nothing"), []),
    ],
)
def test_what_changes_the_serving_release_is_notified(
    hook: Callable[[str, Any], None], ended: dict[str, Any], subjects: list[str]
) -> None:
    messages: list[str] = []
    hook(steps.NOTIFY, lambda subject, message: messages.append(subject))

    steps.notify_of_step(ended)

    assert messages == subjects


def test_a_step_is_notified_of_after_it_was_saved_and_only_once() -> None:
    messages: list[str] = []
    record = passes.journal.begin(NOW, "Ada")
    work = {"settle": lambda record: Done({"promoted": "v2", "says": "answers"})}

    for _ in range(2):
        journal.run(
            record,
            ("settle",),
            work,
            lambda entry: messages.append(passes.journal.passes()[0]["steps"][0]["ended"]),
        )

    assert len(messages) == 1
    assert messages[0] is not None


def test_a_pass_that_fails_is_notified_of(
    hook: Callable[[str, Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rung_ops.autopilot import steps

    def fail(record: object) -> Done:
        raise StageError("the disk is full")

    messages: list[tuple[str, str]] = []
    hook(steps.NOTIFY, lambda subject, message: messages.append((subject, message)))
    monkeypatch.setattr(steps, "all_steps", lambda tools: dict.fromkeys(steps.FIRST, fail))

    assert passes.main(["--now", AT]) == 1
    assert messages == [("The autopilot failed", "the disk is full")]


def test_a_notification_that_fails_stops_nothing(
    hook: Callable[[str, Any], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(subject: str, message: str) -> None:
        raise OSError("no network")

    hook(steps.NOTIFY, broken)

    steps.notify("v2 was promoted", "it answers")

    assert "OSError: no network" in capsys.readouterr().err
