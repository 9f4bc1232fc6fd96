"""Stage 4: fit the model to the training rows.

Yours: add early stopping, sample weights or a training loop of your own.
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
)


def fit(rows: pl.DataFrame) -> Any:
    """Build the model of model.py and fit it to rows."""
    settings = params()
    model = contract.build(settings["model"] | {"seed": settings["seed"]})
    return model.fit(features(rows), truth(rows))


@stage
def main() -> None:
    """Train and save the model."""
    rows = read_rows(TRAIN)
    start = time.perf_counter()
    save_model(fit(rows))
    seconds = time.perf_counter() - start
    print(f"trained on {rows.height:,} rows in {seconds:.1f} s: {shown(MODEL)}")


if __name__ == "__main__":
    main()
