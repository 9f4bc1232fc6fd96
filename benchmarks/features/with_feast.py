"""Read the same numbers from Feast: `with_feast.py sqlite`, or HOST:PORT,password=... of a Redis."""

import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Float64
from feast.value_type import ValueType
from timing import ENTITIES, FEATURES, serve

folder = tempfile.mkdtemp()
names = [f"f{number}" for number in range(FEATURES)]
numbers = np.random.default_rng(0).random((ENTITIES, FEATURES))
frame = pd.DataFrame(numbers, columns=names)
frame["code"] = [f"e{number}" for number in range(ENTITIES)]
frame["at"] = datetime.now(UTC) - timedelta(hours=1)
frame.to_parquet(f"{folder}/events.parquet")
code = Entity(name="code", join_keys=["code"], value_type=ValueType.STRING)
view = FeatureView(
    name="view",
    entities=[code],
    schema=[Field(name=name, dtype=Float64) for name in names],
    source=FileSource(path=f"{folder}/events.parquet", timestamp_field="at"),
    ttl=timedelta(days=1),
)
online = (
    {"type": "sqlite", "path": f"{folder}/online.db"}
    if sys.argv[1] == "sqlite"
    else {"type": "redis", "connection_string": sys.argv[1]}
)
store = FeatureStore(
    config=RepoConfig(
        registry=f"{folder}/registry.db",
        project="features",
        provider="local",
        offline_store={"type": "file"},
        online_store=online,
        entity_key_serialization_version=3,
    )
)
store.apply([code, view])
store.write_to_online_store("view", frame)


def values(size: int) -> Callable[[], object]:
    """Give a read of all features."""
    rows = [{"code": f"e{number * 7}"} for number in range(size)]
    features = [f"view:{name}" for name in names]

    def read() -> dict[str, list[float]]:
        return store.get_online_features(features=features, entity_rows=rows).to_dict()

    assert read()["f3"] == numbers[: 7 * size : 7, 3].tolist()
    return read


serve({"values": values})
