"""The plans of governance give bounds and thresholds only when they are whole and hold today."""

import json
from copy import deepcopy
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from rung_governance.approval import plan
from rung_governance.record_check import check_record, read_schema
from rung_ops.errors import SettingsError, StageError, VersionError
from rung_ops.project import current
from rung_ops.release.export import refuse_custom_model

NEXT_YEAR = (date.today() + timedelta(days=365)).isoformat()
WRITTEN: dict[str, Any] = {
    "scope": "The model.",
    "approved_by": "Vera",
    "approved": "2026-01-31",
    "review_by": NEXT_YEAR,
    "modifications": [
        {
            "id": "tune",
            "change": "Tune.",
            "why": "Better.",
            "parameters": {"model.C": {"least": 0.1}},
            "features_left_out": ["job"],
        }
    ],
    "protocol": {
        **dict.fromkeys(
            ("data_management", "retraining", "performance_evaluation", "update_procedure"),
            "As written.",
        ),
        "unrestricted_parameters": [],
        "features": {"approved": ["age", "job"], "never_read": []},
        "performance": [
            {"figure": "auc", "least": 0.7},
            {"figure": "mae", "most": 50, "greatest_rise": "2.5 %"},
        ],
        "fairness": [{"group": "age", "figure": "selection_rate", "greatest_difference": 0.2}],
    },
    "impact": [
        {"modification": "tune", "benefit": "More.", "risk": "Less.", "mitigation": "Test."}
    ],
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project without a plan."""
    (tmp_path / "governance").mkdir()
    return tmp_path


def write(project: Path, name: str, content: dict[str, Any]) -> None:
    # As JSON, which is YAML, and in which a day stays text.
    path = project / f"governance/{name}.yaml"
    path.write_text(json.dumps(content), encoding="utf-8")


def test_a_plan_gives_its_bounds(project: Path) -> None:
    write(project, plan.CHANGES, WRITTEN)

    read = plan.bounds(project)

    assert read.parameters == {"model.C": {"least": 0.1}}
    assert read.may_be_left_out == {"job"}
    assert read.performance == tuple(WRITTEN["protocol"]["performance"])


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (("review_by",), "2020-01-31", "has passed"),
        (("approved_by",), "TBD", "placeholder"),
        (("protocol", "performance"), [], "performance"),
        (
            ("protocol", "performance", 0),
            {"figure": "auc", "least": 0.7, "greatest_fall": "2 points"},
            "greatest_fall",
        ),
        (("protocol", "performance", 0), {"figure": "m", "most": 7, "greatest_rise": -1}, "rise"),
        (("impact",), [WRITTEN["impact"][0] | {"modification": "else"}], "says nothing of tune"),
        (("modifications",), WRITTEN["modifications"] * 2, "bounds model.C twice"),
    ],
)
def test_a_plan_that_says_too_little_allows_nothing(
    project: Path, place: tuple[Any, ...], value: Any, reason: str
) -> None:
    broken = deepcopy(WRITTEN)
    inner: Any = broken
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    write(project, plan.CHANGES, broken)

    with pytest.raises(SettingsError, match=reason):
        plan.bounds(project)


def test_without_a_plan_nothing_is_allowed(project: Path) -> None:
    with pytest.raises(SettingsError, match="change_control_plan.yaml is missing"):
        plan.bounds(project)


METRIC = {
    "metric": "Drift",
    "setting": "drift.false_alarms",
    "threshold": 0.01,
    "unit": "a chance",
    "cadence": "daily",
    "owner": "Olga",
    "action": "Look at it.",
}


def monitoring(*metrics: dict[str, Any]) -> dict[str, Any]:
    about = {"system": "A job.", "review_by": NEXT_YEAR, "incidents": "Told."}
    return about | {"metrics": [*metrics]}


def test_thresholds_come_by_table_and_name(project: Path) -> None:
    by_hand = {name: value for name, value in METRIC.items() if name != "setting"}
    age = METRIC | {"setting": "freshness.model_days", "threshold": 30}
    write(project, plan.MONITORING, monitoring(METRIC, by_hand, age))

    assert plan.thresholds(project) == {
        "drift": {"false_alarms": 0.01},
        "freshness": {"model_days": 30},
    }
    assert plan.owners(project)["drift.false_alarms"]["owner"] == "Olga"


@pytest.mark.parametrize(
    ("metrics", "reason"),
    [
        ([{n: value for n, value in METRIC.items() if n != "owner"}], "owner: is missing"),
        ([METRIC, METRIC], "sets drift.false_alarms twice"),
    ],
)
def test_a_metric_without_a_part_or_twice_is_refused(
    project: Path, metrics: list[dict[str, Any]], reason: str
) -> None:
    write(project, plan.MONITORING, monitoring(*metrics))
    with pytest.raises(SettingsError, match=reason):
        plan.thresholds(project)


@pytest.mark.parametrize("read", [plan.bounds, plan.thresholds])
def test_the_plans_of_this_project_can_be_read(read: Any) -> None:
    assert read()


def planned(folder: Path, entry: Any) -> Path:
    """Make a project with a change control plan."""
    file = folder / plan.FILE
    file.parent.mkdir(parents=True)
    content = {"scope": "x"} | ({"custom_model_format": entry} if entry else {})
    file.write_text(json.dumps(content), "utf-8")
    return folder


@pytest.mark.parametrize(
    "entry", [None, {"allowed": False, "reason": "too new"}, {"allowed": True}, "yes"]
)
def test_a_plan_that_does_not_allow_a_format_of_ones_own_refuses_it(
    tmp_path: Path, entry: Any
) -> None:
    with pytest.raises(StageError, match="can run code when it is loaded"):
        plan.refuse_own_format(planned(tmp_path, entry))


def test_only_a_plan_that_allows_it_with_a_reason_lets_it_pass(tmp_path: Path) -> None:
    with pytest.raises(StageError):  # without a plan
        plan.refuse_own_format(tmp_path)
    with pytest.raises(VersionError):  # and this project's
        refuse_custom_model(tmp_path)

    entry = {"allowed": True, "reason": "Weights in NumPy's format, loaded without pickle."}
    plan.refuse_own_format(planned(tmp_path, entry))


def test_the_schema_of_the_plan_knows_the_entry(tmp_path: Path) -> None:
    schema = read_schema("change_control_plan", current().root)
    content = yaml.safe_load((current().root / plan.FILE).read_text("utf-8"))
    path = tmp_path / plan.FILE
    path.parent.mkdir()

    def problems(entry: Any) -> list[str]:
        path.write_text(yaml.safe_dump(content | {"custom_model_format": entry}), "utf-8")
        return [str(each) for each in check_record(path, schema, tmp_path)]

    assert problems({"allowed": True, "reason": "Weights in NumPy's format."}) == []
    assert problems({"allowed": "x"}) != []
