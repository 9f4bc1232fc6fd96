"""CI holds the differences between groups against the plan by the rules of the gate."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rung_governance.approval import group_check, plan
from rung_governance.approval.plan import PlanError

BOUNDS = plan.Bounds(
    **dict.fromkeys(("approved", "may_be_left_out", "may_be_added", "never_read"), frozenset()),
    **{"parameters": {}, "unrestricted": (), "performance": (), "decision_threshold": 0.4},
    fairness=({"group": "age", "figure": "selection_rate", "greatest_difference": 0.2},),
)
REPORT: dict[str, Any] = {
    **{"task": "classification", "threshold": 0.4, "smallest_group": 30},
    "groups": {"age": {"differences": {"selection_rate": 0.1}}},
    "too_small": {"age": {"above 80": 3}},
}


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Checks a report against the plan above."""
    file = tmp_path / "fairness.json"
    monkeypatch.setattr(group_check, "fairness_file", lambda: file)
    monkeypatch.setattr(plan, "bounds", lambda: BOUNDS)
    monkeypatch.setattr(group_check, "params", lambda: {"fairness": {"threshold": 0.4}})

    def run(**changes: Any) -> int:
        file.write_text(json.dumps(REPORT | changes))
        return group_check.main([])

    return run


def test_differences_within_the_plan_pass_and_small_groups_are_reported(
    check: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert check() == 0
    output = capsys.readouterr().out
    assert "note: fairness: age above 80 (3 rows) is not judged: fewer than 30 rows" in output
    assert "within the change control plan" in output


def test_a_difference_that_the_plan_forbids_fails(
    check: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(groups={"age": {"differences": {"selection_rate": 0.3}}}) == 1
    assert "selection_rate differs by 0.300 by age; 0.2 is allowed" in capsys.readouterr().err


def test_a_bound_on_groups_of_which_too_few_are_left_fails(
    check: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(groups={"age": {"differences": {"selection_rate": None}}}) == 1
    assert "nothing is known of selection_rate by age" in capsys.readouterr().err


def test_another_threshold_than_that_of_the_plan_fails(
    check: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(group_check, "params", dict)

    assert check() == 1
    assert "params.toml decides at 0.5" in capsys.readouterr().err


def test_the_threshold_is_compared_before_there_is_a_model(
    check: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(group_check, "fairness_file", lambda: tmp_path / "missing.json")
    assert group_check.main(["--before-training"]) == 0

    monkeypatch.setattr(group_check, "params", lambda: {"fairness": {"threshold": 0.5}})
    assert group_check.main(["--before-training"]) == 1
    assert capsys.readouterr().err == (
        "outside of the change control plan: params.toml decides at 0.5 (threshold under "
        "[fairness]), and the plan at 0.4 (decision_threshold)\n"
    )
    other = replace(BOUNDS, decision_threshold=0.5)
    monkeypatch.setattr(plan, "bounds", lambda: other)
    assert group_check.main(["--before-training"]) == 0


def test_a_report_at_another_threshold_fails(
    check: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(threshold=0.6) == 1
    assert "compares groups at 0.6" in capsys.readouterr().err


def test_a_value_has_no_threshold(check: Callable[..., int]) -> None:
    assert check(task="regression", threshold=None) == 0


def test_classes_have_no_threshold_and_one_that_is_named_fails(
    check: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    differences = {"a": {"selection_rate": 0.1}, "b": {"selection_rate": 0.1}}
    groups = {"age": {"differences": differences}}
    kind = {"task": "multiclass", "classes": ["a", "b"], "groups": groups}

    assert check(**kind) == 1
    named = capsys.readouterr().err
    assert "it names a `decision_threshold` under `protocol`, and of several classes" in named
    assert "params.toml has a threshold under [fairness], and of several classes" in named

    monkeypatch.setattr(plan, "bounds", lambda: replace(BOUNDS, decision_threshold=None))
    monkeypatch.setattr(group_check, "params", dict)
    assert check(**kind) == 0


def test_without_a_plan_nothing_is_bounded(
    check: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(plan, "path", lambda: tmp_path / "none.yaml")

    assert check() == 0
    assert "nothing bounds the differences yet" in capsys.readouterr().out


def test_without_a_report_or_a_plan_that_holds_it_fails(
    check: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert group_check.main([]) == 1
    assert "is missing: `uv run poe pipeline` makes it." in capsys.readouterr().err

    def overdue() -> plan.Bounds:
        raise PlanError("the plan is out of date")

    monkeypatch.setattr(plan, "bounds", overdue)
    assert check() == 1
    assert "the plan is out of date" in capsys.readouterr().err


def test_what_the_plan_lets_go_unmeasured_is_said(
    check: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(group_check, "params", dict)
    bound = {"group": "age", "figure": "selection_rate", "greatest_difference": 0.2}
    rare = {"a": {"selection_rate": 0.1}, "b": {"selection_rate": None}}
    report: dict[str, Any] = {
        **{"task": "multiclass", "classes": ["a", "b"], "threshold": None},
        "groups": {"age": {"values": {"young": {}, "old": {}}, "differences": rare}},
        "too_small": {"age": {"young, selection_rate of b": 3, "old, selection_rate of a": 4}},
        "not_measured": {"age": {"selection_rate of b": {"young": 3, "old": 90}}},
    }

    def of(**more: Any) -> int:
        limits = replace(BOUNDS, decision_threshold=None, fairness=(bound | more,))
        monkeypatch.setattr(plan, "bounds", lambda: limits)
        return check(**report)

    assert of() == 1
    assert "selection_rate of b by age is not measured: 3 rows" in capsys.readouterr().err
    assert of(may_be_unmeasured=["b"]) == 0
    output = capsys.readouterr().out
    assert "selection_rate of b by age is not measured: 3 rows of young" in output
    assert "as the plan allows" in output
    assert "old, selection_rate of a (4 rows) is not judged" in output
    assert "young, selection_rate of b" not in output
