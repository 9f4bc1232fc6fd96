"""Stage: keep the last rows by time for the test; without a time, a random share.

Rung keeps this file; change it through src/ and params.toml.
"""

import sys

import numpy as np
import polars as pl

from ops import contract
from ops.settings import ROWS, TEST, TRAIN, params


def split(rows: pl.DataFrame, test_share: float, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split rows into those to learn from and those to be judged by.

    Rows of one moment stay on one side, so that the test holds only what comes later.

    Args:
        rows: all rows.
        test_share: the share for the test, between 0 and 1.
        seed: for the random share, used when the rows have no time.

    Returns:
        Training rows, test rows.
    """
    time = contract.TIME
    if time is None:
        order = np.random.default_rng(seed).permutation(rows.height)
        cut = rows.height - round(rows.height * test_share)
        return rows[np.sort(order[:cut])], rows[np.sort(order[cut:])]
    rows = rows.sort(time, maintain_order=True)
    moment = rows[time][min(int(rows.height * (1 - test_share)), rows.height - 1)]
    return rows.filter(pl.col(time) < moment), rows.filter(pl.col(time) >= moment)


def main() -> int:
    """Split the validated rows; return the exit code."""
    settings = params()
    train, test = split(pl.read_parquet(ROWS), settings["split"]["test_share"], settings["seed"])
    if not train.height or not test.height:
        print(
            f"The split leaves {train.height} rows to train on and {test.height} to test on. "
            "Change test_share under [split] in params.toml, or bring more rows.",
            file=sys.stderr,
        )
        return 1
    train.write_parquet(TRAIN)
    test.write_parquet(TEST)
    print(f"split: {train.height:,} rows to train on, {test.height:,} to test on")
    return 0


if __name__ == "__main__":
    sys.exit(main())
