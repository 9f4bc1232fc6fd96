"""The check of governance's records finds what is missing, and says where."""

import json
import shutil
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from machinery.governance.tests.conftest import Capture, Patch
from rung_governance.documents import records
from rung_governance.documents.records import main, plan_mismatches, problems
from rung_ops import contract

SCHEMA = {
    "description": "Write it.",
    "type": "object",
    "required": ["owner"],
    "properties": {
        "owner": {"type": "string", "description": "Name the owner."},
        "reviewed": {"type": "string"},
    },
}
CARD = "\n\n".join(
    f"# {heading}\n\nWhat is the case."
    for heading in ["Use", "Out of scope", "Factors", "Metrics", "Data", "Ethics", "Caveats"]
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one record and one document, complete."""
    write(tmp_path, "governance/schemas/register.json", json.dumps(SCHEMA))
    write(tmp_path, "governance/register.yaml", "owner: Ada\n")
    write(tmp_path, "docs/model_card.md", CARD)
    return tmp_path


def write(root: Path, file: str, text: str) -> None:
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text(text, encoding="utf-8")


def problem_lines(root: Path) -> str:
    return "\n".join(str(problem) for problem in problems(root))


@pytest.mark.parametrize(
    ("file", "text", "named"),
    [
        ("governance/register.yaml", "owner: Ada\n", ""),
        ("governance/register.yaml", "reviewed: 2026-01-31\n", "register.yaml, owner: is missing"),
        ("governance/register.yaml", "owner: 3\n", "register.yaml, owner: 3 is not of type"),
        ("governance/register.yaml", "owner: TBD\n", "owner: `TBD` is a placeholder"),
        ("governance/register.yaml", "owner: '-'\n", "owner: is empty"),
        ("governance/register.yaml", "owner: [\n", "is not YAML (line 2)"),
        ("governance/register.yaml", "- Ada\n", "holds no fields"),
        ("governance/register.yaml", "owner: Ada\nreview_by: 2020-01-31\n", "has passed"),
        ("governance/register.yaml", "owner: Ada\nreview_by: TOMORROW\n", ""),
        ("governance/register.yaml", "owner: Ada\nreview_by: never\n", "`never` is no day"),
        ("docs/model_card.md", "# Use\n\nAll.\n", "no heading has `caveats`"),
        (
            "docs/model_card.md",
            CARD.replace("# Use\n\nWhat is the case.", "# Use"),
            "section Use: is empty",
        ),
        ("docs/model_card.md", CARD.replace("# Use\n\n", "# Use\n\n## Whose\n\n"), ""),
        ("docs/model_card.md", CARD + "\n\n# More\n\nTODO: say", "line 31: `TODO`"),
        ("docs/model_card.md", CARD + "\n\n<!-- TODO -->\n```\nTODO\n```\n", ""),
    ],
)
def test_a_problem_is_named_with_its_place(project: Path, file: str, text: str, named: str) -> None:
    tomorrow = date.today() + timedelta(days=1)  # today ends, perhaps during the test
    write(project, file, text.replace("TOMORROW", str(tomorrow)))
    assert named in problem_lines(project)
    assert bool(named) == bool(problem_lines(project))


def test_a_deleted_record_is_missed(project: Path) -> None:
    (project / "governance/register.yaml").unlink()
    assert "governance/register.yaml: is missing. Write it." in problem_lines(project)


def test_front_matter_and_sections_are_the_fields_of_a_record(project: Path) -> None:
    write(project, "governance/schemas/notes.json", json.dumps(SCHEMA))
    write(project, "governance/notes/README.md", "# How to write a note\n")
    write(project, "governance/notes/one.md", "---\nreviewed: yesterday\n---\n# Owner\n\nAda\n")
    write(project, "governance/notes/two.md", "---\nreviewed: yesterday\n---\n# Owner\n")

    assert problem_lines(project) == "governance/notes/two.md, owner: is missing. Name the owner."

    shutil.rmtree(project / "governance/notes")
    write(project, "governance/notes.md", "# Notes\n\n## Owner\n")  # one document

    assert problem_lines(project) == "governance/notes.md, owner: is missing. Name the owner."


def test_a_project_needs_the_records_of_what_it_does(tmp_path: Path) -> None:
    marks = {
        "ops/tasks.toml": "model_inventory.yaml",
        "dvc.yaml": "retention.yaml",
        "ops/service.toml": "oversight.yaml",
    }
    for mark, needed in marks.items():
        assert needed not in problem_lines(tmp_path)
        write(tmp_path, mark, "")
        assert f"{needed}: is missing" in problem_lines(tmp_path)


def test_a_schema_of_the_teams_own_takes_the_place_of_the_librarys(tmp_path: Path) -> None:
    write(tmp_path, "ops/tasks.toml", "")
    write(tmp_path, "governance/risk_register.yaml", "owner: Ada\n")

    assert "risk_register.yaml, risks: is missing" in problem_lines(tmp_path)

    write(tmp_path, "governance/schemas/risk_register.json", json.dumps(SCHEMA))

    assert "risk_register" not in problem_lines(tmp_path)


def test_a_schema_is_printed(capsys: Capture) -> None:
    assert main(["--schema", "risk_register"]) == 0
    assert "risks" in json.loads(capsys.readouterr().out)["required"]


def test_a_plan_that_is_about_another_project_is_named_before_the_gate_refuses(
    monkeypatch: Patch,
) -> None:
    assert plan_mismatches() == []

    features = [pl.col("sex").alias("group"), pl.col("claims").alias("past_claims")]
    monkeypatch.setitem(vars(contract), "FEATURES", features)
    monkeypatch.setattr(records, "params", lambda: {"fairness": {"groups": {"age": []}}})

    mismatches = "\n".join(plan_mismatches())
    assert "features group, past_claims were not approved" in mismatches
    assert "features age, assets, " in mismatches and "are missing, and may not" in mismatches
    assert mismatches.count("may not be left out") == 1
    assert "a feature reads sex, which the plan forbids" in mismatches
    assert "its line is `approved: [past_claims]`" in mismatches, "none reads what is forbidden"
    assert "fairness is bounded by sex, which [fairness.groups]" in mismatches
    assert "fairness is bounded by age" not in mismatches
