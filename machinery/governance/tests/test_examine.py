"""Each requirement has its evidence: of a run, of a person, or it is missing, and is said to be."""

import json
import re
import shutil
import tomllib
from datetime import date
from pathlib import Path

import pytest
import yaml

from machinery.governance.tests.conftest import Capture, Patch
from machinery.governance.tests.signing import ADA, OTTO, VERA, Desk
from machinery.tests.in_project import ROOT
from machinery.tests.projects import moved
from rung_governance import example_text
from rung_governance.approval import validation
from rung_governance.documents import examine, file_parts
from rung_governance.documents.examine import MISSING, OUTSIDE, RUN, STATEMENT

TODAY = date(2026, 11, 30)
OWN = "Officers of our branch in Trento see the figure beside the file and decide."
REQUIREMENTS = tomllib.loads(examine.REQUIREMENTS.read_text(encoding="utf-8"))


@pytest.fixture
def project(desk: Desk, monkeypatch: Patch) -> Path:
    """A copy of the project's documents, written, in a repository with a version that was made."""
    folder = desk.folder
    for name in ("docs", "governance", "ops"):
        shutil.copytree(ROOT / name, folder / name, dirs_exist_ok=True)
    desk.allow(VERA)
    shutil.copy(ROOT / "dvc.yaml", folder)
    reports = folder / "reports"
    moved(monkeypatch, examine, repository=folder, root=folder, reports=reports)
    moved(monkeypatch, file_parts, reports=reports)
    (folder / "uv.lock").write_text("version = 1\n")
    (folder / examine.ANSWERS).write_text("level: 4\n")
    desk.commit(OTTO, message="Generate the project")
    example_text.rewrite(folder, OWN)
    desk.commit(ADA, message="Write the documents")
    return folder


def look(name: str, version: str = "1") -> examine.Evidence:
    return examine.evidence_of(REQUIREMENTS["controls"][name], examine.Examined(version))


def test_each_requirement_names_a_control_and_each_control_can_be_looked_for() -> None:
    named = {
        name for s in REQUIREMENTS["sources"] for r in s["requirements"] for name in r["controls"]
    }

    assert named == set(REQUIREMENTS["controls"])
    assert {each["kind"] for each in REQUIREMENTS["controls"].values()} == set(examine.LOOK)
    for source in REQUIREMENTS["sources"]:
        assert source["seen"].startswith(("copy: ", "secondary: ", "not opened"))
        assert date.fromisoformat(source["as_of"]) <= date.today()


def test_the_known_requirements_are_listed() -> None:
    refs = {
        source["id"]: [r["ref"] for r in source["requirements"]]
        for source in REQUIREMENTS["sources"]
    }

    articles = [f"Art. {number}" for number in (9, 10, 12, 13, 14, 15, 26, 27, 72, 86)]
    annex = [f"Annex IV, {number}" for number in range(1, 10)]
    assert set(refs["EU AI Act"]) >= {*articles, *annex}
    assert [f"A.{number}" for number in range(2, 11)] == refs["ISO/IEC 42001:2023"][3:]
    assert set(refs) >= {"SR 26-2", "NIST AI RMF 1.0", "GDPR", "FDA PCCP"}


def test_a_document_is_a_statement_of_who_wrote_it(project: Path) -> None:
    evidence = look("use-case")
    assert evidence.status == STATEMENT
    assert evidence.shown_by.startswith("Ada Lovelace, ")


def test_what_nobody_changed_since_it_was_generated_is_no_statement(
    project: Path, desk: Desk
) -> None:
    plan = "governance/monitoring_plan.yaml"
    text = (project / plan).read_text()
    both = {plan: f"{text}# Of a climb.\n", examine.ANSWERS: "level: 5\n"}
    desk.commit(OTTO, both, message="Climb")
    assert look("monitoring-plan").shown_by.startswith("Ada Lovelace, ")

    shutil.rmtree(project / ".git")
    desk.git("init", "-q", "-b", "main")
    desk.commit(OTTO, message="Generate the project")

    evidence = look("monitoring-plan")
    assert (evidence.status, evidence.shown_by[:12]) == (MISSING, "as generated")


def test_the_example_an_incomplete_record_and_a_missing_one_are_missing(project: Path) -> None:
    shutil.copy(ROOT / "docs/use_case.md", project / "docs")
    (project / "governance/risk_register.yaml").write_text("risks: []\n")
    (project / "docs/privacy.md").unlink()

    assert "of the example, or not written yet" in look("use-case").shown_by
    assert look("risks").shown_by.startswith("risks: ")
    assert look("privacy").shown_by == "there is no such file"
    assert {look(name).status for name in ("use-case", "risks", "privacy")} == {MISSING}


def test_a_report_proves_something_of_its_own_version_only(project: Path) -> None:
    (project / "reports").mkdir()
    (project / "reports/run.json").write_text('{"version": "1"}')
    (project / "reports/fairness.json").write_text("{}")
    (project / "reports/gate.json").write_text('{"challenger": {"version": "1"}}')

    assert (look("fairness").status, look("gate").status) == (RUN, RUN)
    assert (look("fairness", "2").status, look("gate", "2").status) == (MISSING, MISSING)
    assert look("figures").status == MISSING


def test_an_approval_is_a_statement_and_its_absence_is_missing(project: Path, desk: Desk) -> None:
    version = desk.version()
    number = str(version.version)
    assert "no validation" in look("validation", number).shown_by
    entry = yaml.safe_load((project / validation.INVENTORY).read_text())
    entry["models"][0]["name"] = version.name
    (project / validation.INVENTORY).write_text(yaml.safe_dump(entry))
    assert desk.approve(version) == 0

    evidence = look("validation", number)

    assert evidence.status == STATEMENT
    assert "Vera Valid <vera@example.org>" in evidence.shown_by
    assert "key: vera@example.org" in evidence.shown_by
    assert look("lineage", number).status == RUN
    assert look("validation", "99").status == look("lineage", "99").status == MISSING

    (project / "docs/datasheet.md").write_text("# Datasheet\n\n## Uses\n\nNot written yet.\n")
    shown = look("validation", number).shown_by
    assert shown.startswith('docs/datasheet.md: line 5, "Uses": not written yet. ')


def test_both_files_are_written_and_what_is_missing_is_printed(
    project: Path, desk: Desk, capsys: Capture
) -> None:
    version = str(desk.version().version)

    assert examine.main([version]) == 1

    output = capsys.readouterr()
    assert "missing: governance/validation: " in output.err and "wrote " in output.out
    named = [line.split(": ", 2) for line in output.err.splitlines()]
    assert not any(re.match(rf"{re.escape(path)}(?!/)", found) for _, path, found in named)
    data = json.loads((project / "reports/examination.json").read_text())
    assert data["controls"]["oversight"]["status"] == STATEMENT
    (act,) = [source for source in data["sources"] if source["id"] == "EU AI Act"]
    statuses = {each["ref"]: each["status"] for each in act["requirements"]}
    # The weakest of its controls decides.
    assert (statuses["Art. 13"], statuses["Art. 72"]) == (STATEMENT, MISSING)
    assert statuses["Annex IV, 8"] == OUTSIDE
    page = (project / "reports/examination.html").read_text()
    assert "<b>Art. 14</b>" in page and "only the organisation can show it" in page


def test_a_page_shows_no_markup_of_a_document(
    project: Path, desk: Desk, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(examine, "_people", lambda: {"developer": "<script>alert(1)</script>"})
    page = examine.html.render(examine.LAYOUT, **examine.examine("1", TODAY))
    assert "<script>" not in page


def test_without_a_version_nothing_is_written(project: Path) -> None:
    assert examine.main([]) == 1
    assert not (project / "reports").exists()
