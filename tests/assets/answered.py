"""Let a project's production have answered rows of the sample: run in the project, by its Python.

    answered.py SAMPLE FIRST UNTIL [--origin JFK] [--guess] [--most ROWS] [--after ROW]

Writes the prediction log and the outcomes of the rows whose time is from FIRST on and before UNTIL,
as the service and whoever learns the outcomes would. Rows without a time are spread over it.
"""

import argparse
import os
import sys
from datetime import datetime
from pathlib import Path

import polars as pl

sys.path.insert(0, os.getcwd())

from rung_ops import contract
from rung_ops.data import ingest
from rung_ops import prediction_log
from rung_ops.contract.row_checks import inspect
from rung_ops.project import paths
from rung_ops.release import state
from rung_ops.model import released

MOMENT = "moment"

parser = argparse.ArgumentParser()
parser.add_argument("sample", type=Path)
parser.add_argument("first", type=datetime.fromisoformat)
parser.add_argument("until", type=datetime.fromisoformat)
parser.add_argument("--origin", help="only flights from this airport: another mix of rows")
parser.add_argument("--guess", action="store_true", help="answer as a broken model does")
parser.add_argument("--most", type=int, default=4000)
parser.add_argument("--after", type=int, default=0, help="leave out the rows up to this number")
options = parser.parse_args()

rows = inspect(ingest.read(options.sample), contract.Row.to_schema(), "the sample")[0]
rows = rows[options.after :]
if contract.TIME is None:
    moments = pl.datetime_range(options.first, options.until, closed="left", interval="1m")
    rows = rows.with_columns(pl.select(moments.head(rows.height).alias(MOMENT)).to_series())
else:
    rows = rows.with_columns(pl.col(contract.TIME).cast(pl.Datetime("us")).alias(MOMENT))
rows = rows.filter(pl.col(MOMENT).is_between(options.first, options.until, closed="left"))
if options.origin:
    rows = rows.filter(pl.col("origin") == options.origin)
rows = rows.sample(min(options.most, rows.height), seed=1).sort(MOMENT, maintain_order=True)

folder = paths.environment(paths.PRODUCTION)
serving = str(state.read(folder).serving)
loaded = released.load(paths.bundle(folder, serving), paths.public_key().read_bytes())
typed = rows.select(pl.col(name).cast(kind) for name, kind in loaded.schema.items())
features, predictions = loaded.score(typed)
predicted = pl.Series(predictions).shuffle(1) if options.guess else pl.Series(predictions)

names = [f"{options.first:%Y-%m-%d}-{number}" for number in range(rows.height)]
batch = prediction_log.Batch(0, names, serving, "serving", typed, features, predicted.to_numpy())
moments = rows[MOMENT].dt.replace_time_zone("UTC").alias("time")
log = prediction_log.assemble([batch]).with_columns(moments)
prediction_log.write_predictions(log, prediction_log.folder(paths.PRODUCTION))

key = list(contract.Row.to_schema().unique or [])
outcomes = Path("data/outcomes")
outcomes.mkdir(parents=True, exist_ok=True)
outcome_rows = rows.select(*key, contract.TARGET) if key else rows.select(
    pl.Series("id", names), contract.TARGET
)
outcome_rows.write_parquet(outcomes / f"{options.first:%Y-%m-%d}.parquet")
print(f"{serving} answered {rows.height} rows")
