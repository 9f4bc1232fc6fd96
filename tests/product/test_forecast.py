"""A forecast with a horizon goes up all rungs in a generated project, and is compared with naive ones.

The rows are real: the flights of the template's example, counted for six hours of each airport.
"""

import json
import random
import urllib.error
from pathlib import Path

import polars as pl
import pytest

from tests.conftest import ROOT
from tests.product import test_own_data as own_data
from tests.product.serving import free_port
from tests.product.variants import ask, in_production, serving

pytestmark = [pytest.mark.slow, pytest.mark.every_commit]

RAW = ROOT / "templates/project/data/sample/flights.parquet"


def late_ahead(draw: random.Random) -> own_data.Rows:
    """Count the flights of each airport in six hours, and those that arrived late."""
    part = pl.col("scheduled").dt.truncate("6h").alias("part")
    counts = (
        pl.read_parquet(RAW)
        .group_by(part, pl.col("origin").alias("airport"))
        .agg(pl.len().alias("planned"), pl.col("late").sum())
    )
    yield from counts.sort("part", "airport").iter_rows(named=True)


def test_a_forecast_goes_up_all_rungs(copier_template: Path, tmp_path: Path) -> None:
    project = own_data.start(copier_template, tmp_path / "late_ahead")
    own_data.put(project, "late_ahead", late_ahead, (own_data.OWN_DATA / "late_ahead").iterdir())
    filled = "rung-ops features materialize --as-of 2013-12-30T18:00:00"

    # The example of the release may need the feature store of another time, and is refused then.
    asked = {"part": "2013-12-31T18:00:00", "airport": "JFK", "planned": 12}
    own_data.goes_up(project, copier_template, before_release=filled, row=asked)

    rows = {
        name: pl.read_parquet(project.folder / f"data/{name}.parquet")
        for name in ("rows", "train", "test")
    }
    made = rows["test"]["part"].dt.offset_by("-1d")
    assert (rows["train"]["part"] < made.min()).all()
    assert rows["train"].height + rows["test"].height < rows["rows"].height
    comparison = json.loads((project.folder / "reports/comparison.json").read_text())
    assert set(comparison["baselines"]) == {"constant", "last_value", "seasonal_naive"}
    assert comparison["better"] and comparison["forecast"] == "made 1 day before `part`"

    bundle = in_production(project.folder / "releases")
    contract = json.loads((bundle / "contract.json").read_text())
    assert contract["forecast"] == comparison["forecast"]
    assert comparison["forecast"] in (bundle / "card.md").read_text()
    with serving(project, free_port()) as address:
        answer = ask(address, asked)
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(address, asked | {"part": "2013-12-29T18:00:00"})
    assert answer["defaults_used"] == []
    assert refused.value.code == 422
    assert "the feature store has it as of 2013-12-30T18:00" in refused.value.read().decode()
    assert 0 < answer["prediction"] < 12
    own_data.watch_an_outcome(project, answer["id"], "late", 3)
    assert project.is_clean()
