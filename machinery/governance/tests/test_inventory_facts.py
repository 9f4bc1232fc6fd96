"""Facts of the inventory are found, not asked, and what contradicts them is named."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from machinery.governance.tests.conftest import APPROVED, Patch, Releases
from machinery.tests.projects import moved
from rung_governance.approval import promote
from rung_governance.documents import inventory, records
from rung_ops.data.ingest import sample_rows
from rung_ops.project.paths import project_name

TEAM = {"name": project_name(), "actual_use": "Officers see it beside each file."}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: Patch) -> Path:
    """A project with an inventory; production is in the folder of the test."""
    monkeypatch.setenv("RELEASES", str(tmp_path / "releases"))
    places = {"reports": tmp_path / "reports", "test": tmp_path / "test.parquet"}
    moved(monkeypatch, inventory, root=tmp_path, **places)
    (tmp_path / "governance/validation").mkdir(parents=True)
    write(tmp_path)
    return tmp_path


def write(root: Path, **changes: Any) -> None:
    content = {"models": [TEAM | changes]}
    (root / inventory.INVENTORY).write_text(yaml.safe_dump(content), encoding="utf-8")


def problems(root: Path) -> str:
    return "\n".join(map(str, inventory.contradictions(root)))


def answer(monkeypatch: Patch) -> None:
    monkeypatch.setattr(inventory, "serving", lambda: ("3", "2026-11-20"))


def test_nothing_is_asked_that_is_known(project: Path) -> None:
    sample_rows().head(5).write_parquet(project / "test.parquet")
    (project / "reports").mkdir()
    (project / "reports/validation.json").write_text('{"rows": {"a.csv": 1000}, "problems": []}')
    record = APPROVED | {"version": 3, "date": "2026-11-19"}
    (project / "governance/validation/m-3.yaml").write_text(yaml.safe_dump(record))
    (project / "governance/validation/README.md").write_text("# How\n")

    data = inventory.facts()

    assert data["status"] == "in development: nothing answers in production from here"
    assert data["validations"] == "version 3, 2026-11-19: approved by Vera Valid"
    assert data["rows"] == "1,000 of a.csv"
    assert data["features"].startswith("19: checking, ")


@pytest.mark.parametrize("report", ["{", "[]", '{"rows": 3}'])
def test_what_is_not_known_is_left_out(project: Path, report: str) -> None:
    (project / "reports").mkdir()
    (project / "reports/validation.json").write_text(report)
    assert "rows" not in inventory.facts() and "features" not in inventory.facts()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, ""),
        ({"status": "in use"}, ""),
        ({"status": "development"}, "is development, and version 3 answers in production"),
        ({"actual_use": "Not in use yet."}, "says that it is not in use, and version 3 answers"),
        ({"actual_use": "Not yet used."}, "says that it is not in use"),
        ({"validation": {"done": [], "planned": "Yearly"}}, ""),
        (
            {"validation": {"done": ["2026-01-01"]}},
            "lists 2026-01-01; governance/validation has none",
        ),
        ({"name": "another-model", "status": "development"}, ""),
    ],
)
def test_what_contradicts_the_facts_is_named(
    project: Path, monkeypatch: Patch, changes: dict[str, Any], named: str
) -> None:
    answer(monkeypatch)
    write(project, **changes)
    assert named in problems(project)
    assert bool(named) == bool(problems(project))


def test_before_anything_answers_it_may_be_in_development(project: Path) -> None:
    write(project, status="development", actual_use="Not in use yet.")
    assert problems(project) == ""


def test_what_answers_is_read_from_production(releases: Releases) -> None:
    assert inventory.serving() is None
    releases.deploy_first()
    assert promote.main(["1"]) == 0

    assert inventory.serving() == ("1", releases.events[-1]["at"][:10])


def test_poe_records_reports_it(project: Path, monkeypatch: Patch) -> None:
    answer(monkeypatch)
    write(project, status="development")
    assert any("models[0].status" in str(each) for each in records.problems(project))
