"""The hook of docs/features.md reads a real Feast."""

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.product.conftest import run

pytestmark = pytest.mark.slow

FEAST = "feast==0.67"
SETTINGS = """
project: flights
registry: registry.db
provider: local
online_store: {type: sqlite, path: online.db}
entity_key_serialization_version: 3
"""
TRIED = """
from datetime import datetime, timedelta, timezone
import pandas as pd
import polars as pl
from feast import Entity, FeatureStore, FeatureView, Field, FileSource
from feast.types import Float64
from feast.value_type import ValueType

carrier = Entity(name="carrier", join_keys=["carrier"], value_type=ValueType.STRING)
view = FeatureView(
    name="carriers",
    entities=[carrier],
    schema=[Field(name="carrier_late_7d", dtype=Float64)],
    source=FileSource(path="events.parquet", timestamp_field="at"),
    ttl=timedelta(days=8),
)
at = datetime.now(timezone.utc) - timedelta(hours=1)
known = pd.DataFrame({"carrier": ["AA", "UA"], "carrier_late_7d": [0.25, 0.5], "at": [at, at]})
known.to_parquet("feature_repo/events.parquet")
store = FeatureStore(repo_path="feature_repo")
store.apply([carrier, view])
store.write_to_online_store("carriers", known)

import feast_values

rows = pl.DataFrame(
    {"carrier": ["UA", "ZZ", "AA", "AA"], "carrier_late_7d": [None, None, None, 0.75], "day": [1, 2, 3, 4]},
    schema_overrides={"carrier_late_7d": pl.Float64},
)
found = feast_values.look_up(rows)
assert found.schema == rows.schema
assert found.drop("carrier_late_7d").equals(rows.drop("carrier_late_7d"))
assert found["carrier_late_7d"].to_list() == [0.5, None, 0.25, 0.75], found
feast_values.STORE = None
assert feast_values.look_up(rows).equals(rows)
print("read")
"""


def test_the_hook_of_the_documentation_reads_feast(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/features.md").read_text(), re.DOTALL)
    (hook,) = (block for block in blocks if "feast" in block)
    (tmp_path / "feast_values.py").write_text(hook)
    (tmp_path / "feature_repo").mkdir()
    (tmp_path / "feature_repo/feature_store.yaml").write_text(SETTINGS)
    (tmp_path / "tried.py").write_text(TRIED)
    packages = ("--with", FEAST, "--with", "polars")

    done = run(
        *("uv", "run", "--quiet", "--no-project", *packages, "python", "tried.py"), cwd=tmp_path
    )

    assert done.stdout.splitlines()[-1] == "read", done.stdout
