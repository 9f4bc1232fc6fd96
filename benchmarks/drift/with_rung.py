"""Judge drift as `poe monitor` does: `with_rung.py FOLDER`, with machinery/ on PYTHONPATH."""

import json
import sys
import time
from pathlib import Path

import polars as pl

from rung_ops.statistics import drift

imported = time.process_time()
folder = Path(sys.argv[1])
drifts = drift.compare(
    pl.read_parquet(folder / "reference.parquet"), pl.read_parquet(folder / "current.parquet")
)
# The limits of a new project's ops/monitor.toml.
error = 0.01 / drifts["p_value"].count()
drifted = drifts.filter((pl.col("p_value") <= error) & (pl.col("change") >= 0.05))["feature"]
drifts.write_parquet(folder / "drift.parquet")
done = time.process_time()
print(json.dumps({"drifted": drifted.to_list(), "check": done - imported, "start": imported}))
