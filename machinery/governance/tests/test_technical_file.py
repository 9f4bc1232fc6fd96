"""The technical file holds what the repository knows, and names what it does not."""

import json
import re
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from machinery.governance.tests.conftest import Patch, Refusal
from machinery.tests.autopilot.repository import git
from machinery.tests.in_project import ROOT
from machinery.tests.projects import moved
from rung_governance import example_text
from rung_governance.approval import validation
from rung_governance.documents import file_parts, technical_file
from rung_ops.data.ingest import sample_rows
from rung_ops.project import current
from rung_ops.project.paths import project_name
from rung_ops.tracking import registry

TODAY = date(2026, 11, 30)
LOCK = 'version = 1\n[[package]]\nname = "polars"\nversion = "1.99.7"\n'
OWN = "Officers of our branch in Trento see the figure beside the file and decide."
REPORTS: dict[str, Any] = {
    "run.json": {"model": "m", "version": "1"},
    "validation.json": {"rows": {"data/sample/a.csv": 50}, "problems": []},
    "metrics.json": {"auc": 0.7531},
    "slices.json": [{"column": "sex", "value": "female", "rows": 50, "auc": 0.7412}],
    "fairness.json": {
        **{"task": "classification", "threshold": 0.4, "positive": "bad", "smallest_group": 30},
        "groups": {"sex": {"differences": {"selection_rate": 0.0316}}},
    },
    "explanations.json": {"importance": {"age": 0.1}, "examples": [{"age": 4711}]},
    "comparison.json": {"model": 0.7531, "baseline": 0.5},
}
RECORD = """\
validator: {name: Vera Valid, email: vera@example.org}
date: 2026-11-21
conceptual_soundness: The method fits the question that is asked.
decision: approved
"""


VERA = ("-c", "user.name=Vera Valid", "-c", "user.email=vera@example.org")


@pytest.fixture
def project(tmp_path: Path, registry_store: str, monkeypatch: Patch) -> Path:
    """A copy of this project's documents, with the reports of version 1 and its validation."""
    shutil.copy(registry_store.removeprefix("sqlite:///"), tmp_path / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("RELEASES", str(tmp_path / "releases"))
    for folder in ("docs", "governance", "src"):
        shutil.copytree(current().root / folder, tmp_path / folder)
    for name in ("pyproject.toml", "params.toml"):
        shutil.copy(current().root / name, tmp_path / name)
    (tmp_path / "uv.lock").write_text(LOCK, encoding="utf-8")
    sample_rows().head(50).write_parquet(tmp_path / "test.parquet")
    (tmp_path / "reports").mkdir()
    for name, content in REPORTS.items():
        (tmp_path / "reports" / name).write_text(json.dumps(content), encoding="utf-8")
    record = tmp_path / validation.RECORDS / f"{project_name()}-1.yaml"
    record.write_text(RECORD, encoding="utf-8")
    places = {"reports": tmp_path / "reports", "test": tmp_path / "test.parquet"}
    moved(monkeypatch, repository=tmp_path, root=tmp_path, **places)
    example_text.rewrite(tmp_path, OWN)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "src", "params.toml", "pyproject.toml", "uv.lock")
    git(tmp_path, "commit", "-qm", "Write the model")
    (tmp_path / "governance/allowed_signers").touch()  # a team of one has none
    git(tmp_path, "add", "governance/allowed_signers")
    git(tmp_path, *VERA, "commit", "-qm", "Add a signer")
    commit = git(tmp_path, "rev-parse", "HEAD")
    tags = {"git_commit": commit, "git_author": "Vera Valid <vera@example.org>"}
    for name, value in tags.items():
        registry.client().set_model_version_tag(registry.model_name(), "1", name, value)
    return tmp_path


def test_a_complete_file_has_nine_sections_that_rest_on_something(project: Path) -> None:
    made = technical_file.assemble("1", TODAY)

    assert made.missing == []
    headings = [line for line in made.text.splitlines() if line.startswith("## ")]
    assert [heading[3:5] for heading in headings] == [f"{number}." for number in range(1, 10)]
    for part in ("0.7531", "0.7412", "0.0316", "Vera Valid", "`params.toml` (SHA-256"):
        assert part in made.text
    assert "The model is in development: nothing answers in production from here." in made.text
    assert "Nothing" not in made.text.partition("\n## ")[0]


def test_parameters_source_and_packages_are_the_versions_not_those_of_today(project: Path) -> None:
    before = technical_file.assemble("1", TODAY).text
    (project / "params.toml").write_text("seed = 4711\n", encoding="utf-8")
    (project / "uv.lock").unlink()
    shutil.rmtree(project / "src")

    made = technical_file.assemble("1", TODAY)

    assert made.missing == []
    assert made.text == before
    assert "|polars|1.99.7|" in made.text


def test_parameters_that_the_commit_does_not_have_are_missing(project: Path) -> None:
    registry.client().set_model_version_tag(registry.model_name(), "1", "params_hash", "e" * 64)
    (missing,) = technical_file.assemble("1", TODAY).missing
    assert "made with another params.toml than its commit has" in missing


def test_who_only_added_a_signer_is_no_developer(project: Path) -> None:
    text = technical_file.assemble("1", TODAY).text
    developers = re.search(r"^Developed by .*$", text, re.MULTILINE)
    # Her name is that of git in this environment.
    assert developers and re.search(r": Ada[\w ]* <ada@example\.org>\.$", developers[0])
    assert "Vera" not in text.partition("### Versions")[2].partition("###")[0]


def test_text_of_the_example_is_named_as_missing(project: Path) -> None:
    shutil.copy(ROOT / "docs/use_case.md", project / "docs/use_case.md")
    made = technical_file.assemble("1", TODAY)
    assert "docs/use_case.md:" in made.missing[0]
    assert "still the text of the example" in made.missing[0]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (
            {"task": "classification", "threshold": 0.4, "positive": "bad"},
            "By rates at the threshold 0.4 of the change control plan: a probability from there on "
            "counts as bad.",
        ),
        (
            {"task": "multiclass", "classes": ["on time", "late"]},
            "so there is no threshold. The classes: on time, late.",
        ),
        ({"task": "regression"}, "By the errors of the predicted number. There is no threshold."),
        ({"task": "quantile", "level": 0.8}, "rows that the interval holds, which is to be 0.8"),
    ],
)
def test_how_groups_are_compared_follows_the_kind_of_problem(
    project: Path, kind: dict[str, Any], said: str
) -> None:
    report = {**kind, "smallest_group": 30, "groups": {}}
    (project / "reports/fairness.json").write_text(json.dumps(report), encoding="utf-8")

    text = technical_file.assemble("1", TODAY).text

    section = text.partition("### How groups are compared")[2].partition("\n## ")[0]
    assert said in section
    assert ("at the threshold" in section) is (kind["task"] == "classification")
    assert "fewer than 30 rows" in section


def test_single_rows_are_left_out(project: Path) -> None:
    assert "4711" not in technical_file.assemble("1", TODAY).text


SOURCES = [
    *("docs/use_case.md", "docs/model_card.md", "docs/datasheet.md", "docs/privacy.md"),
    *("governance/model_inventory.yaml", "governance/oversight.md"),
    *("governance/risk_register.yaml", "governance/monitoring_plan.yaml"),
    *("governance/change_control_plan.yaml", "governance/retention.yaml"),
    *("governance/technical_file/annex_iv.md", "test.parquet"),
    f"{validation.RECORDS}/{project_name()}-1.yaml",
    *(f"reports/{name}" for name in REPORTS if name != "run.json"),
]


@pytest.mark.parametrize("source", SOURCES)
def test_what_is_missing_is_named_in_the_file_and_fails(
    project: Path, source: str, refusal: Refusal
) -> None:
    (project / source).unlink()
    assert Path(source).name in refusal(technical_file.main)
    text = technical_file.output_file().read_text(encoding="utf-8")
    assert Path(source).name in text.partition("**This file is not complete:**")[2]


@pytest.mark.parametrize(
    ("report", "text", "said"),
    [
        ("run.json", '{"version": "2"}', "are those of version 2, not of 1"),
        ("metrics.json", "{", "is not JSON"),
    ],
)
def test_reports_that_are_damaged_or_of_another_version_are_missing(
    project: Path, report: str, text: str, said: str
) -> None:
    (project / "reports" / report).write_text(text, encoding="utf-8")
    made = technical_file.assemble("1", TODAY)
    assert "auc: 0.7531" not in made.text
    assert any(said in each for each in made.missing)


def test_an_unwritten_section_is_missing(project: Path) -> None:
    path = technical_file.prose_file()
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("## 8.", "## Eight, of"), encoding="utf-8")

    missing = technical_file.assemble("1", TODAY).missing
    assert "8_eu_declaration_of_conformity: is missing" in missing[0]


def test_a_law_that_does_not_apply_yet_is_marked(project: Path) -> None:
    path = technical_file.prose_file()
    text = path.read_text(encoding="utf-8")
    front = 'provider: A bank\nlaw: [{duty: "The Act", applies_from: "2026-12-01"}]\n'
    path.write_text(f"---\n{front}review_by: {date.today()}\n---\n{text.split('---', 2)[2]}")

    assert "|The Act|2026-12-01|not yet|" in technical_file.assemble("1", TODAY).text
    assert "|The Act|2026-12-01|yes|" in technical_file.assemble("1", date(2026, 12, 1)).text


def test_where_the_document_names_no_law_the_library_does(project: Path) -> None:
    text = technical_file.prose_file().read_text(encoding="utf-8")
    assert "law" not in yaml.safe_load(text.split("---", 2)[1])

    made = technical_file.assemble("1", TODAY)

    duties = r"\|Duties for high-risk systems of Annex III.*\|2027-12-02\|not yet\|"
    assert re.search(duties, made.text)
    assert re.search(r"\|SR 26-2 .*\|2026-04-17\|yes\|", made.text)


def test_without_a_version_there_is_no_file(project: Path, refusal: Refusal) -> None:
    (project / "reports/run.json").unlink()
    assert "There is no version yet" in refusal(technical_file.main)


def test_a_heading_moves_down_and_a_comment_in_code_stays() -> None:
    text = "# One\n```\n# two\n```\n## Three"
    assert file_parts.demoted(text, 2) == "### One\n```\n# two\n```\n#### Three"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"risk_tier": "high", "of": ["a", "b"]}, "- risk tier: high\n- of: a, b"),
        ([{"a": 1, "b": 0.123456}, {"a": 2}], "|a|b|\n|-|-|\n|1|0.1235|\n|2||"),
        ({"model.max_iter": {"least": 1}}, "- `model.max_iter`:\n  - least: 1"),
        ([{"a": "x|y"}, {"a": None}], "|a|\n|-|\n|x\\|y|\n||"),
        ({"a": [{"b": 1, "c": "x"}, {"b": 2}]}, "- a:\n  - b: 1; c: x\n  - b: 2"),
        ({"a": "two\n lines"}, "- a: two lines"),
    ],
)
def test_records_are_written_as_lists_and_tables(content: Any, text: str) -> None:
    assert file_parts.written(content) == text
