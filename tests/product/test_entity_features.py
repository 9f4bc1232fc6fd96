"""An entity feature as docs/features.md has it: declared, trained, materialized, released, served."""

import json
import re
import urllib.request
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.product.conftest import run
from tests.product.serving import free_port
from tests.product.variants import Project, ask, serving, start

pytestmark = [pytest.mark.slow, pytest.mark.every_commit]

FLIGHT = {
    "scheduled": "2013-12-31T08:00:00",
    "carrier": "AA",
    "flight": 1,
    "origin": "JFK",
    "destination": "LAX",
    "distance": 2475,
}
# What the store has to hold, by Polars alone.
BY_HAND = """
from datetime import datetime, timedelta
from pathlib import Path
import polars as pl
from late_flights.dataset import load
rows = pl.concat([load(path) for path in sorted(Path("data/sample").glob("*.parquet"))])
until = datetime(2013, 12, 31)
when = pl.col("scheduled")
window = (when >= until - timedelta(days=7)) & (when < until) & (when + timedelta(days=1) <= until)
chosen = rows.filter(window, carrier="AA")
assert chosen.height > 10
print(chosen["late"].mean())
"""
LOGGED = """
import polars as pl
print(pl.read_parquet("logs/production/predictions/**/*.parquet").select(
    pl.col("row").struct.field("carrier_late_7d"), "defaults_used").write_json())
"""


@pytest.fixture(scope="module")
def project(copier_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return trained(copier_template, tmp_path_factory.mktemp("entity") / "project")


def trained(template: Path, folder: Path, **answers: str) -> Project:
    """Make a project on rung 3 with the documentation's entity feature, and its first version."""
    project = start(template, folder, use_case="velocity", level=3, **answers)
    page = (ROOT / "docs/features.md").read_text()
    imports, declaration = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[:2]
    file = folder / "src/late_flights/features.py"
    text = file.read_text().replace("import polars as pl\n", imports, 1)
    file.write_text(f"{text}\n{declaration}")
    project.commit("Add an entity feature")
    project.run("uv run poe check")
    project.run("uv run poe pipeline")
    project.run("uv run poe keys")
    project.commit("Train")
    return project


def test_a_declared_feature_is_trained_materialized_released_and_served(project: Project) -> None:
    run_python = f"{project.folder}/.venv/bin/python"
    expected = float(run(run_python, "-c", BY_HAND, cwd=project.folder).stdout)
    refused = project.fail("uv run poe release")
    assert "no store" in refused
    assert "`uv run rung-ops features materialize`" in refused

    output = project.run("uv run rung-ops features materialize --as-of 2013-12-31T00:00:00")
    assert "carrier_late_7d: 13 entities as of 2013-12-31T05:00:00+00:00" in output
    project.run("uv run poe gate")
    project.run("uv run poe release")
    project.run("uv run poe deploy production --at-once")

    with serving(project, free_port()) as address:
        stored = ask(address, FLIGHT)
        unknown = ask(address, FLIGHT | {"carrier": "ZZ"})
        same = ask(address, FLIGHT | {"carrier_late_7d": expected})
        other = ask(address, FLIGHT | {"carrier_late_7d": 0.9})
        with urllib.request.urlopen(f"{address}/metrics", timeout=30) as reply:
            metrics = reply.read().decode()

    assert (stored["defaults_used"], unknown["defaults_used"]) == ([], ["carrier_late_7d"])
    assert stored["prediction"] == same["prediction"] != other["prediction"]
    assert 'service_entity_lookups_total{entity="carrier",outcome="found"} 1.0' in metrics
    logged = json.loads(run(run_python, "-c", LOGGED, cwd=project.folder).stdout)
    values = [entry["carrier_late_7d"] for entry in logged]
    assert values == [pytest.approx(expected, abs=1e-12), None, expected, 0.9]

    # Of four predictions no share can be judged; a store of 2013 is old however few ask.
    monitored = project.fail("uv run poe monitor")
    assert "the feature store of `carrier_late_7d` is of 2013-12-31 05:00 UTC" in monitored
    assert "2 days may pass" in monitored
    (row,) = [
        e
        for e in project.run("uv run poe features").splitlines()
        if e.startswith("carrier_late_7d")
    ]
    assert row.split()[:6] == [
        "carrier_late_7d",
        "carrier",
        "carrier_late_7d",
        "raw_rows",
        "7",
        "d",
    ]

    batch = "import polars as pl; rows = pl.read_parquet('data/sample/flights.parquet').tail(50);"
    run(run_python, "-c", f"{batch} rows.drop('late').write_csv('batch.csv')", cwd=project.folder)
    assert "50 rows scored" in project.run("uv run poe predict batch.csv")
