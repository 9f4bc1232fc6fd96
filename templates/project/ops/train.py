"""Stage: fit the model to the training rows.

Rung keeps this file; change it through src/ and params.toml.
"""

import sys
import time

import polars as pl

from ops import contract, estimator
from ops.settings import MODEL, TRAIN, params, shown


def fit(rows: pl.DataFrame) -> object:
    """Build the contract's estimator and fit it to rows."""
    settings = params()
    model = contract.build(settings["model"] | {"seed": settings["seed"]})
    return model.fit(estimator.features(rows), estimator.truth(rows))


def main() -> int:
    """Train and save the model; return the exit code."""
    rows = pl.read_parquet(TRAIN)
    start = time.perf_counter()
    model = fit(rows)
    seconds = time.perf_counter() - start
    try:
        estimator.save(model, MODEL)
    except estimator.UntrustedModel as error:
        print(error, file=sys.stderr)
        return 1
    print(f"trained on {rows.height:,} rows in {seconds:.1f} s: {shown(MODEL)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
