"""CI holds the differences between groups against the plan by the rules of the gate."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from machinery.governance.tests.conftest import Capture, Patch
from rung_governance.approval import bounds, plan
from rung_ops.errors import SettingsError

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


@dataclass
class Check:
    """Checks a report against the plan above, with its threshold in params.toml."""

    file: Path
    patch: Patch
    capsys: Capture

    def settings(self, **fairness: Any) -> None:
        self.patch.setattr(bounds, "params", lambda: {"fairness": fairness})

    def limits(self, **changes: Any) -> None:
        self.patch.setattr(plan, "bounds", lambda: replace(BOUNDS, **changes))

    def typed(self, *words: str) -> tuple[int, str]:
        """Type the command; return its exit code, and what it printed."""
        code = bounds.main(list(words))
        printed = self.capsys.readouterr()
        return code, printed.err if code else printed.out

    def of(self, **changes: Any) -> tuple[int, str]:
        self.file.write_text(json.dumps(REPORT | changes))
        return self.typed()


@pytest.fixture
def check(tmp_path: Path, monkeypatch: Patch, capsys: Capture) -> Check:
    made = Check(tmp_path / "fairness.json", monkeypatch, capsys)
    monkeypatch.setattr(bounds, "fairness_file", lambda: made.file)
    made.limits()
    made.settings(threshold=0.4)
    return made


def test_differences_within_the_plan_pass_and_small_groups_are_reported(check: Check) -> None:
    code, output = check.of()
    assert code == 0
    assert "note: fairness: age above 80 (3 rows) is not judged: fewer than 30 rows" in output
    assert "within the change control plan" in output


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"groups": {"age": {"differences": {"selection_rate": 0.3}}}},
            "selection_rate differs by 0.300 by age; 0.2 is allowed",
        ),
        (
            {"groups": {"age": {"differences": {"selection_rate": None}}}},
            "nothing is known of selection_rate by age",
        ),
        ({"threshold": 0.6}, "compares groups at 0.6"),
        ({}, "params.toml decides at 0.5"),
    ],
)
def test_what_is_outside_of_the_plan_fails(
    check: Check, changes: dict[str, Any], reason: str
) -> None:
    if not changes:
        check.settings()
    code, output = check.of(**changes)
    assert code == 1 and reason in output


def test_the_threshold_is_compared_before_there_is_a_model(check: Check) -> None:
    assert check.typed("--before-training") == (0, "")

    check.settings(threshold=0.5)
    assert check.typed("--before-training") == (
        1,
        "outside of the change control plan: params.toml decides at 0.5 (threshold under "
        "[fairness]), and the plan at 0.4 (decision_threshold)\n",
    )
    check.limits(decision_threshold=0.5)
    assert check.typed("--before-training") == (0, "")


def test_a_value_has_no_threshold(check: Check) -> None:
    assert check.of(task="regression", threshold=None)[0] == 0


def test_classes_have_no_threshold_and_one_that_is_named_fails(check: Check) -> None:
    differences = {"a": {"selection_rate": 0.1}, "b": {"selection_rate": 0.1}}
    kind = {
        "task": "multiclass",
        "classes": ["a", "b"],
        "groups": {"age": {"differences": differences}},
    }

    code, named = check.of(**kind)

    assert code == 1
    assert "it names a `decision_threshold` under `protocol`, and of several classes" in named
    assert "params.toml has a threshold under [fairness], and of several classes" in named
    check.limits(decision_threshold=None)
    check.settings()
    assert check.of(**kind)[0] == 0


def test_without_a_plan_nothing_is_bounded(check: Check, monkeypatch: Patch) -> None:
    monkeypatch.setattr(plan, "path", lambda: check.file.with_name("none.yaml"))
    code, output = check.of()
    assert code == 0 and "nothing bounds the differences yet" in output


def test_without_a_report_or_a_plan_that_holds_it_fails(check: Check, monkeypatch: Patch) -> None:
    code, output = check.typed()
    assert code == 1 and "is missing: `uv run poe pipeline` makes it." in output

    def overdue() -> plan.Bounds:
        raise SettingsError("the plan is out of date")

    monkeypatch.setattr(plan, "bounds", overdue)
    code, output = check.of()
    assert code == 1 and "the plan is out of date" in output


def test_what_the_plan_lets_go_unmeasured_is_said(check: Check) -> None:
    check.settings()
    bound = BOUNDS.fairness[0] | {"may_be_unmeasured": ["b"]}
    rare = {"a": {"selection_rate": 0.1}, "b": {"selection_rate": None}}
    report: dict[str, Any] = {
        **{"task": "multiclass", "classes": ["a", "b"], "threshold": None},
        "groups": {"age": {"values": {"young": {}, "old": {}}, "differences": rare}},
        "too_small": {"age": {"young, selection_rate of b": 3, "old, selection_rate of a": 4}},
        "not_measured": {"age": {"selection_rate of b": {"young": 3, "old": 90}}},
    }
    check.limits(decision_threshold=None, fairness=(bound,))
    code, output = check.of(**report)

    assert code == 0
    assert "selection_rate of b by age is not measured: 3 rows of young" in output
    assert "as the plan allows" in output
    assert "old, selection_rate of a (4 rows) is not judged" in output
    assert "young, selection_rate of b" not in output
