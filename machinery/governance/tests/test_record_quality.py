"""A validation says something: plausible days, judgements, findings with an owner, true figures."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from machinery.governance.tests.conftest import Capture
from machinery.governance.tests.signing import VERA, Desk
from rung_governance.approval import approve, readiness, validation
from rung_ops.tracking import registry

NOW = datetime.now(UTC)
FINDING = {
    "finding": "Young applicants are refused more often.",
    "severity": "medium",
    "owner": "Credit modelling",
    "due": (NOW + timedelta(days=365)).date().isoformat(),
    "evidence": "reports/fairness.json",
}


def day(days: int) -> str:
    return (NOW + timedelta(days=days)).date().isoformat()


def objections(desk: Desk, **changes: Any) -> str:
    version = desk.version()
    desk.record(version, **changes)
    return "\n".join(readiness.implausible(version))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, ""),
        ({"date": day(3)}, "is to come"),
        ({"date": day(-3)}, "is before the version was made"),
        ({"limitations": "a" * 40}, "limitations: it takes 5 different words"),
        ({"limitations": "aa aa aa aa aa aa aa aa"}, "limitations: it takes 5 different words"),
        ({"limitations": "The method fits the question that is asked."}, "are the same text"),
        ({"evidence": []}, "evidence: is missing"),
        ({"findings": [FINDING]}, ""),
        ({"findings": [FINDING | {"due": day(-30)}]}, "before the validation"),
        ({"findings": [FINDING | {"severity": "high"}]}, "conditions: is missing"),
        ({"findings": [FINDING | {"severity": "high", "closed": day(0)}]}, ""),
        ({"findings": [FINDING | {"severity": "high"}], "conditions": "Fix it first."}, ""),
    ],
)
@pytest.mark.tried(
    "Approve with a record that says nothing: `aaaa`, no findings, an impossible day",
    "refused, with the field",
)
def test_what_is_implausible_is_named(desk: Desk, changes: dict[str, Any], named: str) -> None:
    faults = objections(desk, **changes)
    assert named in faults
    assert bool(named) == bool(faults)


def test_a_record_without_findings_is_not_signed(desk: Desk, capsys: Capture) -> None:
    version = desk.version()
    desk.record(version)
    path = validation.record_paths(version)[0]
    record = yaml.safe_load(path.read_text())
    del record["findings"]
    path.write_text(yaml.safe_dump(record))
    assert approve.main([str(version.version), "--key", desk.key(VERA)]) == 1
    assert "findings: is missing" in capsys.readouterr().err


@pytest.mark.tried("Approve with other figures than the run's", "refused, with both")
def test_figures_are_those_of_the_run(desk: Desk) -> None:
    version = desk.version()
    registry.client().log_metric(version.run_id, "auc", 0.78123)
    desk.record(version, figures={"auc": 0.7812})
    assert readiness.implausible(version) == []

    desk.record(version, figures={"auc": 0.79, "brier": 0.1})

    auc, brier = readiness.implausible(version)
    assert "auc is 0.79, and the run recorded 0.78123" in auc
    assert "brier is 0.1, and the run recorded no such figure" in brier


def test_a_release_is_compared_with_the_time_of_its_commit(desk: Desk) -> None:
    version = desk.version()
    desk.record(version, date=day(-3))
    released = validation.ReleasedVersion(version.name, version.version, version.tags)
    assert "is before the version was made" in readiness.implausible(released)[0]


def test_the_skeleton_of_a_record_is_written_and_filled_in(desk: Desk, capsys: Capture) -> None:
    desk.git("config", "user.name", "Vera Valid")
    desk.git("config", "user.email", "vera@example.org")
    version = desk.version()
    registry.client().log_metric(version.run_id, "auc", 0.78123)
    words = [str(version.version), "--key", desk.key(VERA)]

    assert approve.main(words) == 1

    (path,) = validation.record_paths(version)
    assert f"{path.name}. Answer what is empty in it" in capsys.readouterr().err
    record = yaml.safe_load(path.read_text())
    assert record["git_commit"] == version.tags["git_commit"]
    assert record["figures"] == {"auc": 0.7812}
    assert record["validator"] == {"name": "Vera Valid", "email": "vera@example.org"}
    assert approve.main(words) == 1
    refused = capsys.readouterr().err
    for name in ("conceptual_soundness", "outcomes_analysis", "limitations", "findings"):
        assert f"{name}: is empty" in refused
    text = path.read_text().replace("evidence:\n", "evidence: [the run]\n")
    for name in ("conceptual_soundness", "outcomes_analysis", "limitations"):
        text = text.replace(f"{name}:\n", f"{name}: Of the {name} I looked at every part.\n")
    path.write_text(
        text.replace("findings:\n", "findings: []\n").replace("decision:", "decision: approved")
    )
    assert approve.main(words) == 0


@pytest.mark.tried(
    "Go on past `review_by`, or past the day of a finding",
    "no new approval or promotion; `poe monitor` names it",
)
def test_what_is_overdue_is_reported_while_a_version_answers(desk: Desk) -> None:
    version = desk.version()
    desk.record(version, findings=[FINDING | {"due": "2020-01-31"}])
    (desk.folder / "governance/oversight.yaml").write_text("review_by: 2020-01-31\n")

    review, finding = readiness.warnings(version)

    assert "oversight.yaml, review_by: 2020-01-31 has passed" in review
    assert "`Young applicants are refused more often.` was due on 2020-01-31" in finding
    assert "review_by" in "\n".join(readiness.objections(version))


@pytest.mark.parametrize("findings", [None, "none", [1], [{"due": None}]])
def test_a_record_that_is_not_as_it_should_be_breaks_nothing(desk: Desk, findings: Any) -> None:
    version = desk.version()
    desk.record(version, findings=findings)
    readiness.warnings(version)
