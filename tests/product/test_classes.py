"""A target of three classes works in a generated project, from the check to a served prediction."""

import json
import math
import random
import urllib.request
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.conftest import ROOT
from tests.product import test_own_data as own_data
from tests.product.serving import free_port
from tests.product.variants import (
    Project,
    ask,
    in_production,
    promise_less,
    serving,
    sign,
    start,
    write_record,
)

pytestmark = pytest.mark.slow

LIBRARY_TESTS = ROOT / "machinery/tests/multiclass"  # the code that they try, too
CLASSES = ["on time", "late", "lost & found"]
TOKEN = "an-officers-token-of-the-tests-0123456789"
JOBS = ["manager", "skilled", "unskilled"]
# The credit example asks for the applicant's job, in three classes, in place of the risk.
OF_JOBS = {
    "src/*/dataset.py": {
        'TARGET: str = "bad"': 'TARGET: str = "job"',
        '"unskilled, not resident"': '"unskilled"',
        '"unskilled, resident"': '"unskilled"',
        '"skilled or official"': '"skilled"',
        '"manager, self-employed or highly qualified"': '"manager"',
        '    bad: bool = pa.Field(description="The bank counted the credit as a bad risk")\n': "",
        '        (pl.col("class") - 1).alias("bad"),  # 1 is good, 2 is bad\n': "",
    },
    "src/*/features.py": {'    pl.col("job"),\n': ""},
    "src/*/model.py": {
        '"housing", "job", "telephone"': '"housing", "telephone"',
        "import average_precision_score, brier_score_loss, log_loss, roc_auc_score": (
            "import accuracy_score, brier_score_loss, log_loss"
        ),
        '        "auc": float(roc_auc_score(truth, predicted)),\n': (
            '        "accuracy": float(accuracy_score(truth, predicted.argmax(axis=1))),\n'
        ),
        '        "average_precision": float(average_precision_score(truth, predicted)),\n': "",
        "labels=[0, 1])": "labels=[0, 1, 2])",
        "pos_label=1)": "labels=[0, 1, 2])",
    },
    "params.toml": {
        'metric = "auc"': 'metric = "brier"',
        "higher_is_better = true": "higher_is_better = false",
        'adverse = "high"': 'adverse = ["unskilled"]',
    },
}
FEWER = "\n[explain]\nrows = 20\nbackground = 20\n"
# What 250 test rows can show: there are 11 women and 25 men among the managers.
BOUNDS_OF_JOBS = """\
  fairness:
    - {group: sex, figure: selection_rate, greatest_difference: 0.15}
    - {group: age, figure: selection_rate, greatest_difference: 0.25}
    - {group: sex, figure: true_positive_rate, greatest_difference: 0.3, may_be_unmeasured: [manager, unskilled]}

"""


def parcels(draw: random.Random) -> own_data.Rows:
    """Draw 1,600 parcels that come on time, late, or never."""
    for number in range(1_600):
        distance, express = draw.uniform(5, 1_500), draw.random() < 0.3
        weight = draw.lognormvariate(0, 0.6)
        odds = [1.0, math.exp(-1 + distance / 500 - 1.5 * express), math.exp(-2.5 + 0.6 * weight)]
        yield {
            "parcel": f"P{number:05}",
            "handed_in": (own_data.FIRST + timedelta(minutes=97 * number)).isoformat(),
            "service": "express" if express else "standard",
            "distance": round(distance, 1),
            "weight": "" if draw.random() < 0.05 else round(weight, 2),
            "outcome": draw.choices(CLASSES, odds)[0],
        }


@pytest.mark.every_commit
def test_three_classes_from_the_check_to_a_served_prediction(
    copier_template: Path, tmp_path: Path
) -> None:
    project = own_data.start(copier_template, tmp_path / "parcels", level=3)
    code = [LIBRARY_TESTS / "params.toml", *(LIBRARY_TESTS / "parcels").glob("[!_]*.py")]
    own_data.put(project, "parcels", parcels, code)
    project.run("uv sync")
    project.run("uv run poe keys")
    promise_less(project)
    project.commit("Bring three classes, publish the keys, agree on limits")
    for verb in ("check", "pipeline", "notebook"):
        project.run(f"uv run poe {verb}")
    project.commit("Run the pipeline")
    for verb in ("gate", "release", "deploy staging", "deploy production"):
        project.run(f"uv run poe {verb}")

    bundle = in_production(project.folder / "releases")
    contract = json.loads((bundle / "contract.json").read_text())
    card = (bundle / "card.md").read_text()
    assert json.loads((bundle / "manifest.json").read_text())["format"] == "onnx"
    assert contract["classes"] == CLASSES
    assert "### By class" in card

    with serving(project, free_port()) as address:
        answer = ask(address, contract["example"])
    assert (answer["release"], list(answer["probabilities"])) == (bundle.name, CLASSES)
    assert answer["prediction"] == max(CLASSES, key=answer["probabilities"].get)

    project.run("uv run poe predict data/sample/parcels.csv reports/scored.csv")
    scored = pl.read_csv(project.folder / "reports/scored.csv")
    assert set(scored["prediction"]) <= set(CLASSES)
    by_class = [f"probability_{name}" for name in CLASSES]
    assert scored.select(pl.sum_horizontal(by_class)).to_series().is_close(1).all()

    own_data.watch_an_outcome(project, answer["id"], "outcome", CLASSES[1])
    assert project.is_clean()

    own_data.climb(project, copier_template, 4)
    output = project.run("uv run poe replay --months 1")
    replayed = json.loads((project.folder / "reports/replay/timeline.json").read_text())
    (period,) = replayed["periods"]
    assert "Traceback" not in output
    assert period["with"]["low"] < period["with"]["figure"] < period["with"]["high"]
    assert project.is_clean()


def rewrite(project: Project, pattern: str, changes: dict[str, str]) -> None:
    """Put other texts in place of those of one file, each of which has to be there."""
    (path,) = project.folder.glob(pattern)
    text = path.read_text()
    for before, after in changes.items():
        assert before in text, (path, before)
        text = text.replace(before, after)
    path.write_text(text)


def bound_classes(plan: Path) -> None:
    """Write a change control plan for three classes."""
    text = plan.read_text()
    before, _, after = text.partition("  performance:\n")
    _, _, rest = after.partition("\nimpact:\n")
    before = before.replace("housing, job, telephone", "housing, telephone")
    figures = "  performance:\n    - {figure: brier, most: 0.53, greatest_rise: 0.01}\n"
    plan.write_text(f"{before}{figures}{BOUNDS_OF_JOBS}impact:\n{rest}")


def overrule(address: str, identity: str, decision: str) -> None:
    """Decide otherwise than was predicted, as an officer does."""
    made = {"id": identity, "decision": decision, "reason": "The certificates say otherwise"}
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
    request = urllib.request.Request(f"{address}/override", json.dumps(made).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as reply:
        assert json.load(reply)["recorded"]


def test_three_classes_are_approved_overruled_and_examined_under_governance(
    copier_template: Path, tmp_path: Path
) -> None:
    project = start(
        copier_template, tmp_path / "jobs", use_case="governance", team_size="team", level=3
    )
    for pattern, changes in OF_JOBS.items():
        rewrite(project, pattern, changes)
    params = project.folder / "params.toml"
    params.write_text(params.read_text() + FEWER)
    promise_less(project)
    project.run("uv run poe keys")
    project.commit("Predict the job, publish the keys")
    project.run("uv run pytest -q tests/test_contract.py")
    project.run("uv run poe pipeline")
    project.commit("Train")

    refused = project.fail("uv run rung-ops fairness-check")
    assert "names a `decision_threshold` under `protocol`, and of several classes" in refused
    assert "true_positive_rate of manager by sex is not measured: 11 rows of female" in refused
    bound_classes(project.folder / "governance/change_control_plan.yaml")
    assert "within the change control plan" in project.run("uv run rung-ops fairness-check")

    groups = json.loads((project.folder / "reports/fairness.json").read_text())["groups"]
    of_women = groups["sex"]["values"]["female"]
    assert list(of_women) == list(groups["sex"]["differences"]) == JOBS
    for rates in of_women.values():
        low, high = rates["selection_rate_low"], rates["selection_rate_high"]
        assert low <= rates["selection_rate"] <= high
    explained = json.loads((project.folder / "reports/explanations.json").read_text())
    assert list(explained["base"]) == JOBS
    assert {each["predicted"] for each in explained["examples"]} <= set(JOBS)

    write_record(project)
    sign(project, "1")
    for verb in ("release 1", "deploy production", "promote 1", "technical-file 1"):
        project.run(f"uv run poe {verb}")
    bundle = in_production(project.folder / "releases")
    card = (bundle / "card.md").read_text()
    assert "selection rate low" in card

    example = json.loads((bundle / "contract.json").read_text())["example"]
    with serving(project, free_port(), OPERATOR_TOKENS=f"Vera Valid:{TOKEN}") as address:
        answer = ask(address, example | {"telephone": "none", "amount": 500}, "?explain=true")
        overrule(address, answer["id"], "manager")
    assert list(answer["probabilities"]) == JOBS
    assert isinstance(answer["reasons"], list)
    own_data.watch_an_outcome(project, answer["id"], "job", "skilled")
    examination = project.run("uv run poe examine 1 || test $? -eq 1")
    assert "Traceback" not in examination
