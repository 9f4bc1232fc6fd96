"""What the report says: why it counts as machine learning, evidence by strength, the next steps."""

import json
from pathlib import Path

import pytest

from rung.check.report import facts, markdown, page, text
from rung.check.review import examples
from rung.check.review.review import Review, review
from rung.check.review.standing import EFFORTS
from tests.command import git
from tests.conftest import ROOT
from tests.repositories import LADDER, ML, PLENTY, plant
from tests.upgrades import corpus

CI = ".github/workflows/ci.yml"
NOTEBOOK = '{"cells": [{"cell_type": "code", "source": ["import torch\\n"]}]}'
EXAMPLES = ROOT / "templates" / "examples"


def look(folder: Path, files: dict[str, str]) -> Review:
    return review(plant(folder, files), limits=PLENTY)


@pytest.mark.parametrize(
    "files",
    [
        {"docs/tour.ipynb": NOTEBOOK},
        {"documentation/guide/tour.ipynb": NOTEBOOK},
        {"tests/requirements.txt": "torch==2.1\n"},
        {"a/test/requirements-dev.txt": "torch==2.1\n"},
        {"docs/requirements.txt": "torch==2.1\n"},
        {"tests/test_a.py": "import torch\n"},
    ],
    ids=lambda files: next(iter(files)),
)
def test_documentation_and_tests_make_no_repository_of_machine_learning(
    files: dict[str, str], tmp_path: Path
) -> None:
    result = look(tmp_path, files)

    assert [] == list(result.machine_learning)
    assert not facts.counts_as(result)


@pytest.mark.parametrize(
    ("files", "place"),
    [
        ({"tour.ipynb": NOTEBOOK}, "tour.ipynb:1 says import torch"),
        ({"requirements.txt": "numpy\ntorch==2.1\n"}, "requirements.txt:2 says torch==2.1"),
        ({"docs/requirements.txt": "torch\n", "requirements.txt": "torch==2.1\n"}, "requirements.txt:1 says torch==2.1"),
        ({"docs/requirements.txt": "torch\n", "ml/rank/requirements.txt": "torch==2.1\n"}, "ml/rank/requirements.txt:1 says torch==2.1"),
        ({"docs/requirements.txt": "torch\n", "a.py": "import torch\n"}, "a.py:1 says import torch"),
    ],
)  # fmt: skip
def test_one_line_says_why_it_counts_as_machine_learning(
    files: dict[str, str], place: str, tmp_path: Path
) -> None:
    result = look(tmp_path, files)

    assert f"  Machine learning, for {place}\n" in text.make(result)
    assert place in page.make(result)
    assert place.partition(" ")[0] in markdown.make(result)
    (by, *_) = json.loads(json.dumps(facts.facts(result)))["machine_learning_by"]
    assert place == f"{by['file']}:{by['line']} says {by['text']}"


def test_the_strongest_evidence_comes_first(tmp_path: Path) -> None:
    files = {
        CI: "on: push\njobs:\n  a:\n    steps:\n      - run: dvc repro\n",
        "dvc.yaml": "stages:\n  a:\n    cmd: python evaluate.py\n    metrics: [m.json]\n",
        "evaluate.py": "import mlflow\nmlflow.evaluate(a)\n",
        "requirements.txt": "dvc==3.0\n",
    }
    findings = look(tmp_path, files).findings

    pipeline = [(shown.tier, shown.hit.path) for shown in findings["orchestrated-pipeline"].shown]
    assert [("automated", CI), ("used", "dvc.yaml"), ("declared", "requirements.txt")] == pipeline
    used = [
        shown.hit.line for shown in findings["offline-evaluation"].shown if shown.tier == "used"
    ]
    assert [2, 0] == used


def test_next_is_sorted_by_effort_and_shows_the_points_of_each(tmp_path: Path) -> None:
    files = ML | {
        CI: "on: push\njobs:\n  a:\n    steps:\n      - run: pytest\n      - run: ruff check\n",
        "tests/test_a.py": "def test_a():\n    assert score(1) == 1\n",
        "train.py": "import argparse\nRidge().fit(x, y)\n",
        "predict.py": "model.predict(rows)\n",
        "Dockerfile": "FROM a\nCMD python predict.py\n",
        "requirements-extra.txt": "mlflow\n",
    }
    result = look(tmp_path, files)
    asked = [one for one in result.findings.values() if one.capability.rung("velocity") == 2]

    efforts = [EFFORTS.index(one.finding.capability.effort) for one in result.standing.blockers]
    assert 1 == result.level
    assert sorted(efforts) == efforts
    assert len(set(efforts)) > 2
    brings = {one.finding.capability.id: one.brings for one in result.standing.blockers}
    assert (0.75, 0.5) == (brings["experiment-tracking"], brings["datasheet"])
    assert 0.4 * len(asked) - sum(one.points for one in asked) == pytest.approx(
        result.standing.missing[1]
    )
    lacks = f"Rung 2 lacks 3 keystones and {result.standing.missing[1]:.2f} points."
    assert f"\nNext: {lacks}\n" in text.make(result)
    assert "  experiment-tracking (a day, +0.75): keystone of rung 2" in text.make(result)
    assert lacks in markdown.make(result)
    assert lacks in page.make(result)
    assert "`" not in page.make(result).split('<h2 id="evidence">')[0]
    assert {"keystones": 3, "points": round(result.standing.missing[1], 2)} == facts.facts(result)[
        "missing"
    ]


def test_every_effort_has_its_place() -> None:
    assert {one.effort for rung in LADDER for one in rung.capabilities.values()} == set(EFFORTS)


@pytest.mark.parametrize("example", ["flights", "credit"])
def test_the_text_of_the_example_earns_nothing_and_is_named(example: str, tmp_path: Path) -> None:
    documents = {
        f"docs/{name}": (EXAMPLES / example / name).read_text()
        for name in ("use_case.md", "model_card.md", "datasheet.md")
    }
    result = look(tmp_path, ML | documents)

    for name in ("use-case-brief", "model-card", "datasheet"):
        assert result.findings[name].tier is None, name
    (note,) = result.notes
    assert all(f"`{path}`" in note for path in documents)
    assert "earns nothing" in note


@pytest.mark.parametrize("name", ["use_case.md", "model_card.md", "datasheet.md"])
def test_the_text_of_earlier_examples_is_known(name: str) -> None:
    """Add the lines that you change to templates/examples/earlier."""
    known = examples.load(EXAMPLES)[name]
    commit = corpus.history("v0.2")
    paths = (f"templates/examples/*/{name}", ":(exclude)templates/examples/earlier")
    patches = git(ROOT, "log", "-p", "--no-renames", "--format=", f"{commit}..", "--", *paths)
    removed = [line[1:].strip() for line in patches.split("\n") if line.startswith("-")]

    assert set() == {line for line in removed if not line.startswith(("#", "--"))} - known


def test_a_section_counts_once_its_text_is_the_users(tmp_path: Path) -> None:
    example = (EXAMPLES / "flights" / "datasheet.md").read_text()
    headings = [line for line in example.split("\n") if line.startswith("## ")]
    changed = example.replace(headings[0], f"{headings[0]}\n\nWe bought these rows from a broker.")
    own = "\n".join(f"{heading}\n\nWe bought these rows from a broker.\n" for heading in headings)

    one = look(tmp_path / "one", ML | {"docs/datasheet.md": changed})
    all_of_them = look(tmp_path / "all", ML | {"docs/datasheet.md": own})

    assert "declared" == one.findings["datasheet"].tier
    assert "used" == all_of_them.findings["datasheet"].tier
    assert [] == one.notes == all_of_them.notes
