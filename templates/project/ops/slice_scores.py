"""Stage: write the score of every slice, and name the weakest.

Rung keeps this file; change it through src/ and params.toml.
"""

import json
import sys

import polars as pl

from ops.settings import PREDICTIONS, REPORTS, params
from ops.slices import score_by_slice

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
            print(f"{weak['column']} {weak['value']}: {figure}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
