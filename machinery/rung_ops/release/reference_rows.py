"""Choose the rows that a release carries."""

import numpy as np
import polars as pl

REFERENCE_ROWS = 10_000  # of training: what drift is measured against
PARITY_ROWS = 1_000  # held out: what the service checks itself on, each time it loads the release


def drawn(rows: pl.DataFrame, most: int, seed: int) -> pl.DataFrame:
    """Draw rows at random, in their order; all where there are no more."""
    if rows.height <= most:
        return rows
    chosen = np.random.default_rng(seed).choice(rows.height, most, replace=False)
    return rows[np.sort(chosen)]
