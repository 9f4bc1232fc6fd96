"""Stage: write the score of every slice, and name the weakest."""

import json

import polars as pl

from rung_ops.project.paths import PREDICTIONS, REPORTS, params
from rung_ops.system.printable import printable
from rung_ops.training.slices import score_by_slice

SLICES = REPORTS / "slices.json"
NAMED = 3


def main() -> int:
    """Score the slices of the test rows; return the exit code."""
    rows = pl.read_parquet(PREDICTIONS)
    slices = score_by_slice(rows, rows["predicted"].to_numpy())
    SLICES.write_text(json.dumps(slices.to_dicts(), indent=2) + "\n", encoding="utf-8")
    score = params()["score"]
    metric = score["metric"]
    if metric in slices.columns:
        scored = slices.drop_nulls(metric).sort(metric, descending=not score["higher_is_better"])
        for weak in scored.head(NAMED).iter_rows(named=True):
            figure = f"{metric} {weak[metric]:.4f}, {weak['rows']:,} rows"
            print(printable(f"{weak['column']} {weak['value']}: {figure}"))
    return 0
