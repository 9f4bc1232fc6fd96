"""Let a project's production have answered rows of the sample: run in the project, by its Python.

    answered.py SAMPLE FIRST UNTIL [--origin JFK] [--guess] [--most ROWS]

Writes the prediction log and the outcomes of the rows scheduled from FIRST on, before UNTIL, as the
service and whoever learns the outcomes would.
"""

import argparse
import os
import sys
from datetime import datetime
from pathlib import Path

import polars as pl

sys.path.insert(0, os.getcwd())

from ops import contract, prediction_log
from ops.release import places, state
from ops.service import release

parser = argparse.ArgumentParser()
parser.add_argument("sample", type=Path)
parser.add_argument("first", type=datetime.fromisoformat)
parser.add_argument("until", type=datetime.fromisoformat)
parser.add_argument("--origin", help="only flights from this airport: another mix of rows")
parser.add_argument("--guess", action="store_true", help="answer as a broken model does")
parser.add_argument("--most", type=int, default=4000)
options = parser.parse_args()

rows = pl.read_parquet(options.sample).filter(
    pl.col(contract.TIME).is_between(options.first, options.until, closed="left")
)
if options.origin:
    rows = rows.filter(pl.col("origin") == options.origin)
rows = rows.sample(min(options.most, rows.height), seed=1).sort(contract.TIME)

folder = places.environment(places.PRODUCTION)
serving = str(state.read(folder).serving)
loaded = release.load(places.bundle(folder, serving), places.public_key().read_bytes())
typed = rows.select(pl.col(name).cast(kind) for name, kind in loaded.schema.items())
features, predictions = loaded.score(typed)
predicted = pl.Series(predictions).shuffle(1) if options.guess else pl.Series(predictions)

names = [f"{options.first:%Y-%m-%d}-{number}" for number in range(rows.height)]
batch = prediction_log.Batch(0, names, serving, "serving", typed, features, predicted.to_numpy())
moments = rows[contract.TIME].cast(pl.Datetime("us")).dt.replace_time_zone("UTC").alias("time")
log = prediction_log.assemble([batch]).with_columns(moments)
prediction_log.write_predictions(log, prediction_log.folder(places.PRODUCTION))

key = list(contract.Row.to_schema().unique or [])
outcomes = Path("data/outcomes")
outcomes.mkdir(parents=True, exist_ok=True)
told = rows.select(*key, contract.TARGET) if key else rows.select(
    pl.Series("id", names), contract.TARGET
)
told.write_parquet(outcomes / f"{options.first:%Y-%m-%d}.parquet")
print(f"{serving} answered {rows.height} rows")
