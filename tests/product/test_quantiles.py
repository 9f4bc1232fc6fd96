"""An interval around a number works in a generated project, from the check to a served prediction.

The rows are real: 1,000 credits of South German banks, from the template's other example.
"""

import json
import random
from pathlib import Path

import polars as pl
import pytest

from tests.conftest import ROOT
from tests.product import test_own_data as own_data
from tests.product.serving import free_port
from tests.product.variants import ask, in_production, serving

pytestmark = pytest.mark.slow

RAW = ROOT / "templates/project/data/sample/german.data"
COLUMNS = {"months": 1, "purpose": 3, "amount": 4, "rate": 7, "age": 12, "job": 16}


def amounts(draw: random.Random) -> own_data.Rows:
    for line in RAW.read_text().splitlines():
        fields = line.split()
        yield {name: fields[place] for name, place in COLUMNS.items()}


def test_an_interval_from_the_check_to_a_served_prediction(
    copier_template: Path, tmp_path: Path
) -> None:
    project = own_data.start(copier_template, tmp_path / "amounts")
    own_data.put(project, "amounts", amounts, (own_data.OWN_DATA / "amounts").iterdir())

    own_data.goes_up(project, copier_template)

    bundle = in_production(project.folder / "releases")
    contract = json.loads((bundle / "contract.json").read_text())
    assert json.loads((bundle / "manifest.json").read_text())["format"] == "onnx"
    assert contract["quantiles"] == [0.1, 0.5, 0.9]
    assert "interval coverage" in (bundle / "card.md").read_text()
    assert json.loads((project.folder / "reports/comparison.json").read_text())["better"]

    with serving(project, free_port()) as address:
        answer = ask(address, contract["example"])
    interval = answer["interval"]
    assert interval["low"] <= answer["prediction"] <= interval["high"]
    assert (answer["release"], interval["level"]) == (bundle.name, 0.8)

    project.run("uv run poe predict data/sample/amounts.csv reports/scored.csv")
    scored = pl.read_csv(project.folder / "reports/scored.csv")
    held = scored["amount"].is_between(scored["interval_low"], scored["interval_high"]).mean()
    assert isinstance(held, float) and 0.7 < held < 0.95

    own_data.watch_an_outcome(project, answer["id"], "amount", 2_000)
    assert project.is_clean()
