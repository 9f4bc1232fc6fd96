"""What became of a release that the autopilot deployed is named, and only what is wrong costs a pause."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from machinery.tests.conftest import Patch
from rung_ops.autopilot import facts, steps
from rung_ops.autopilot.decide import OutcomeVerdict, Trial, read_rules
from rung_ops.autopilot.journal import Done, Tools
from rung_ops.project import paths
from rung_ops.release import deploy, rollout, state

AT = datetime(2026, 6, 1, tzinfo=UTC)
BY = "service"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: Patch) -> Path:
    """Production that serves v1, with v2 in the shadow."""
    monkeypatch.setenv("RELEASES", str(tmp_path))
    made = paths.environment(paths.PRODUCTION)
    state.serve(made, "v1", "Ada")
    state.shadow(made, "v2", 1.0, "autopilot")
    return made


def passed(**steps: dict[str, Any]) -> dict[str, Any]:
    """The record of a pass of which these steps have ended."""
    ended = [
        {"step": name.replace("_", " "), "detail": detail, "ended": "2026-06-01"}
        for name, detail in steps.items()
    ]
    return {"at": AT.isoformat(), "steps": ended}


DEPLOYED = passed(deploy={"release": "v2"})


def promoted(folder: Path) -> None:
    state.canary(folder, "v2", BY)
    state.promote(folder, BY)


def aborted(folder: Path) -> None:
    state.canary(folder, "v2", BY)
    state.abort(folder, "it fails", BY)


def served_after(folder: Path) -> None:
    promoted(folder)
    state.serve(folder, "v3", "Ada")


def rolled_back(folder: Path) -> None:
    promoted(folder)
    state.roll_back(folder, "Ada", "it is worse")


@pytest.mark.parametrize(
    ("happens", "key", "says", "set_back"),
    [
        (promoted, "promoted", "was promoted and is served", None),
        (served_after, "promoted", "is no longer in production: another", None),
        (aborted, "aborted", "was aborted in canary by service: it fails", "aborted"),
        (
            lambda folder: state.abort(folder, "it fails", BY),
            "aborted",
            "was aborted in shadow by service: it fails",
            "aborted",
        ),
        (rolled_back, "taken back", "was rolled back by Ada: it is worse", "rolled back"),
        (
            lambda folder: state.end_trial(folder, "14 days", "autopilot"),
            "ended",
            "is no longer in shadow, ended by autopilot: 14 days",
            None,
        ),
        (
            lambda folder: state.shadow(folder, "v3", 1.0, "Ada"),
            "ended",
            "is no longer in shadow: another release",
            None,
        ),
    ],
)
def test_what_became_of_a_release_is_named_once(
    folder: Path, happens: Callable[[Path], object], key: str, says: str, set_back: str | None
) -> None:
    happens(folder)

    result = steps.settled(state.read(folder), [DEPLOYED])

    assert result[key] == "v2"
    assert says in result["says"]
    last, what = facts._last_set_back([DEPLOYED, passed(settle=result)])
    assert (last, what if last else None) == (AT if set_back else None, set_back)
    assert steps.settled(state.read(folder), [DEPLOYED, passed(settle=result)]) == {}


def end_trial(verdict: dict[str, Any] | None) -> Done:
    """End the trial of v2, as a pass does that has decided it."""
    known = {"trial": {"release": "v2", "verdict": verdict}}
    record = passed(decide={"facts": known, "reasons": ["v2 is not v1"]})
    return steps.end_trial(Tools(read_rules(), None, print), record)  # type: ignore[arg-type]


@pytest.mark.parametrize("arm", ["canary", "shadow"])
@pytest.mark.parametrize(
    ("verdict", "outcome", "set_back"),
    [
        (None, "trial ended", None),
        ({"worse": False}, "trial ended", None),
        ({"worse": True}, "aborted", AT),
    ],
)
def test_a_trial_that_the_autopilot_ends_may_be_tried_again_unless_it_is_worse(
    folder: Path, arm: str, verdict: dict[str, Any] | None, outcome: str, set_back: datetime | None
) -> None:
    if arm == "canary":
        state.canary(folder, "v2", BY)

    done = end_trial(verdict)

    assert state.read(folder).on_trial == ()
    assert done.outcome == outcome
    assert bool(deploy.rollback_event(folder, "v2")) == bool(set_back)
    assert facts._last_set_back([passed(end_trial=done.detail)])[0] == set_back


@pytest.mark.parametrize(("happens", "key"), [(promoted, "promoted"), (aborted, "aborted")])
def test_a_trial_that_is_over_before_it_is_ended_is_left_to_the_next_pass(
    folder: Path, happens: Callable[[Path], object], key: str
) -> None:
    happens(folder)

    done = end_trial({"worse": True})

    assert done.outcome == "nothing"
    assert steps.settled(state.read(folder), [DEPLOYED, passed(end_trial=done.detail)])[key]


def test_the_end_of_a_trial_in_a_journal_of_an_earlier_version_is_settled(folder: Path) -> None:
    earlier = [DEPLOYED, passed(end_trial={"taken back": "v2"})]
    state.abort(folder, "without a verdict", "autopilot")

    assert steps.settled(state.read(folder), earlier) == {}
    assert facts._last_set_back(earlier)[0] is None


@pytest.mark.parametrize("waits_for_a_person", [True, False])
def test_outcomes_judge_what_is_promoted_without_a_person(
    monkeypatch: Patch, waits_for_a_person: bool
) -> None:
    trial, verdict = Trial("v2", "shadow", AT), OutcomeVerdict(True, "v2 is worse than v1 was")
    policy = read_rules()
    monkeypatch.setattr(rollout, "read_policy", lambda: None if waits_for_a_person else "rules")
    monkeypatch.setattr(facts, "on_trial", lambda *_: verdict)

    judged = facts._judged(trial, "v1", pl.DataFrame(), policy)

    assert judged == replace(trial, verdict=None if waits_for_a_person else verdict)
