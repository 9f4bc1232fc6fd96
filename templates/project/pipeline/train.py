"""Stage 4: fit the model to the training rows.

Yours: add early stopping or a training loop of your own. `rung-ops refit` calls fit() again with
all rows, if params.toml says so.
"""

import time
from typing import Any

import polars as pl
from rung_ops.stages import (
    MODEL,
    TRAIN,
    contract,
    features,
    params,
    read_rows,
    save_model,
    shown,
    stage,
    truth,
    weight_arguments,
)


def fit(rows: pl.DataFrame) -> Any:
    """Build the model of model.py and fit it to rows."""
    settings = params()
    model = contract.build(settings["model"] | {"seed": settings["seed"]})
    return model.fit(features(rows), truth(rows), **weight_arguments(model, rows))


@stage
def main() -> None:
    """Train and save the model."""
    rows, _ = read_rows(TRAIN), contract.build  # model.py loads its libraries before the clock runs
    start = time.perf_counter()
    model = fit(rows)
    seconds = time.perf_counter() - start
    save_model(model)
    print(f"fitted to {rows.height:,} rows in {seconds:.1f} s: {shown(MODEL)}")


if __name__ == "__main__":
    main()
