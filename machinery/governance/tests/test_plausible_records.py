"""What is no number, no day or no share decides nothing in a record, whatever schema a team has."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from rung_governance.approval import bounds, plan
from rung_governance.record_check import check_record, read_schema
from rung_ops.errors import SettingsError
from rung_ops.project import current

FAR = (date.today() + timedelta(days=6 * 366)).isoformat()
PLAN = "governance/change_control_plan.yaml"
OF_PLAN = (current().root / PLAN).read_text(encoding="utf-8")


def problems(root: Path, name: str, text: str) -> str:
    """Say what is wrong with a record, by a schema that allows everything."""
    file = root / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return "\n".join(map(str, check_record(file, {}, root)))


@pytest.mark.tried(
    "Loosen a record: bounds of `.nan`, a repeated key, a share of 5, a review in 2099",
    "refused, with its field",
)
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("least: .nan", "line 1): `.nan` is no finite number"),
        ("least: 1.0e+999", "`1.0e+999` is no finite number"),
        ("least: 1\nmost: 2\nleast: 3", "line 3): `least` is written twice"),
        ("a: [{b: 1, b: 2}]", "`b` is written twice"),
        ("fairness: [{figure: selection_rate, greatest_difference: 5}]", "a share, from 0 to 1"),
        ("performance: [{figure: auc, least: 1.5}]", "performance[0].least: 1.5 is a share"),
        ("performance: [{figure: auc, least: -0.1}]", "-0.1 is a share"),
        ("metrics: [{setting: overrides.most_share, threshold: 30}]", "threshold: 30 is a share"),
        (f"review_by: {FAR}", "review_by: `"),
        (f"risks: [{{due: {FAR}}}]", "risks[0].due: `"),
        ("approved: 2026-02-30", "`2026-02-30` is no day of the calendar"),
        ("approval: {valid_days: 999999}", "approval.valid_days: 999,999 days are more than"),
        ("logs: [{retention_days: 999999}]", "logs[0].retention_days: 999,999 days are more than"),
    ],
)
def test_what_is_implausible_in_a_record_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    assert reason in problems(tmp_path, "governance/some.yaml", text)


def test_what_is_plausible_is_not_refused(tmp_path: Path) -> None:
    text = (
        f"review_by: {date.today() + timedelta(days=700)}\n"
        "fairness: [{figure: mean_error, greatest_difference: 5}]\n"
        "performance: [{figure: auc, least: 0.7, greatest_fall: 2 %}]\n"
        "base: &base {a: 1}\nother: {<<: *base, a: 2}\n"
    )

    assert problems(tmp_path, "governance/some.yaml", text) == ""


def test_a_section_that_is_written_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "governance/oversight.md"
    file.parent.mkdir()
    text = (current().root / "governance/oversight.md").read_text(encoding="utf-8")
    file.write_text(f"{text}\n## Stop\n\nNobody stops it.\n", encoding="utf-8")

    found = check_record(file, read_schema("oversight", current().root), tmp_path)

    assert "governance/oversight.md, stop: is written twice" in "\n".join(map(str, found))


@pytest.fixture
def project(tmp_path: Path) -> Callable[[str, str], Path]:
    """Makes a project with this project's plan, in which a text is replaced."""

    def make(before: str, after: str) -> Path:
        assert before in OF_PLAN
        (tmp_path / "governance").mkdir()
        (tmp_path / PLAN).write_text(OF_PLAN.replace(before, after), encoding="utf-8")
        return tmp_path

    return make


@pytest.mark.parametrize("days", ["999999", ".nan", "-1", "soon"])
def test_an_approval_does_not_hold_for_days_that_are_none(
    project: Callable[[str, str], Path], days: str
) -> None:
    with pytest.raises(SettingsError, match="valid_days|finite"):
        plan.approval_terms(project("valid_days: 365", f"valid_days: {days}"))


def test_a_format_of_ones_own_is_not_allowed_by_a_second_entry(
    project: Callable[[str, str], Path],
) -> None:
    entry = "custom_model_format: {allowed: true, reason: as was approved}\n"
    folder = project("scope:", f"custom_model_format: {{allowed: false}}\n{entry}scope:")
    with pytest.raises(SettingsError, match="written twice"):
        plan.refuse_own_format(folder)


NAN = float("nan")


@pytest.mark.parametrize(
    "bound", [{"least": NAN}, {"most": NAN}, {"least": 0, "greatest_fall": NAN}]
)
def test_a_bound_that_is_no_number_allows_nothing(bound: dict[str, float]) -> None:
    limits = bounds.Bounds(
        *({}, (), frozenset({"age"}), frozenset(), frozenset(), frozenset()),
        performance=({"figure": "auc"} | bound,),
        fairness=({"group": "age", "figure": "rate", "greatest_difference": NAN},),
    )
    facts = bounds.Facts({}, frozenset({"age"}), frozenset())
    report = {"groups": {"age": {"differences": {"rate": 0.9}}}}

    found = bounds.violations(limits, facts, facts, {"auc": (0.5, 0.8)}, report)

    assert [each.partition(" ")[0] for each in found] == ["auc", "fairness:"]
