"""A target of three classes works in a generated project, from the check to a served prediction."""

import json
import math
import random
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.conftest import ROOT
from tests.product import test_own_data as own_data
from tests.product.serving import free_port
from tests.product.variants import ask, in_production, promise_less, serving

pytestmark = pytest.mark.slow

LIBRARY_TESTS = ROOT / "machinery/tests/multiclass"  # the code that they try, too
CLASSES = ["on time", "late", "lost & found"]


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
