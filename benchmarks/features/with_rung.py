"""Read entity features as the service does: `with_rung.py sqlite`, or the address of a Redis."""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
os.environ["RELEASES"] = tempfile.mkdtemp()

from machinery.tests import in_project  # noqa: F401, I001  first: changes to a project
import numpy as np
from machinery.tests.serving.calls import CONTRACT, PLAIN
from rung_ops.features import stores
from rung_ops.features.store import StoredView, key_of, keys_of
from rung_ops.model.columns import columns_of
from rung_ops.serving.entity_lookup import EntityLookup
from rung_ops.model.rows import Reader
from timing import ENTITIES, FEATURES, serve

if sys.argv[1] != "sqlite":
    os.environ[stores.ADDRESS] = sys.argv[1]
    SETTINGS = Path(os.environ["RELEASES"]) / "features.toml"
    stores.settings_file = lambda: SETTINGS
    SETTINGS.write_text("[redis]\ntimeout_ms = 1000\n")
NAMES = [f"f{number}" for number in range(FEATURES)]
OWN = [PLAIN | {"name": "code", "dtype": "str", "polars": "String"}] + [
    PLAIN | {"name": f"x{number}", "dtype": "float", "polars": "Float64"} for number in range(10)
]
LOOKED_UP = [
    PLAIN | {"name": name, "dtype": "float", "polars": "Float64", "required": False}
    for name in NAMES
]
described = [{"name": name, "max_age_seconds": None} for name in NAMES]
contract = CONTRACT | {
    "columns": OWN + LOOKED_UP,
    "entity_features": [{"id": "view", "entity": ["code"], "features": described}],
}
entities = keys_of([[f"e{number}" for number in range(ENTITIES)]])
numbers = np.random.default_rng(0).random((ENTITIES, FEATURES))
stores.project_store().write([StoredView("view", time.time_ns() // 1000, NAMES, entities, numbers)])
reader = Reader(columns_of(contract), looked_up=NAMES)
lookup = EntityLookup(contract, reader)


def values(size: int) -> Callable[[], object]:
    """Give a read of the values alone."""
    keys = [key_of([f"e{number * 7}"]) for number in range(size)]
    return lambda: lookup.online.look_up([(lookup.views[0], keys)])


def columns(size: int) -> Callable[[], object]:
    """Give a read of the values into the columns of a request's rows."""
    rows = [
        {"code": f"e{number * 7}"} | {f"x{n}": 0.5 for n in range(10)} for number in range(size)
    ]
    table = Reader(columns_of(contract | {"columns": OWN})).table(
        Reader(columns_of(contract | {"columns": OWN})).many(json.dumps(rows).encode(), size)
    )
    filled = lookup.fill(table)
    assert filled.missing == {}
    assert filled.frame["f3"].to_list() == numbers[: 7 * size : 7, 3].tolist()
    return lambda: lookup.fill(table)


serve({"values": values, "columns": columns})
