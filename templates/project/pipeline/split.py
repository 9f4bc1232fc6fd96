"""Stage 3: keep the last rows by time for the test; without a time, a random share.

Yours: split by customer or by region if your rows ask for it.
"""

import numpy as np
import polars as pl
from rung_ops.stages import ROWS, TEST, TRAIN, StageError, contract, params, read_rows, stage


def split(rows: pl.DataFrame, test_share: float, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return training rows and test rows.

    Rows of one moment stay on one side, so that the test holds only what comes later.
    """
    time = contract.TIME
    if time is None:
        order = np.random.default_rng(seed).permutation(rows.height)
        cut = rows.height - round(rows.height * test_share)
        return rows[np.sort(order[:cut])], rows[np.sort(order[cut:])]
    rows = rows.sort(time, maintain_order=True)
    moment = rows[time][min(int(rows.height * (1 - test_share)), rows.height - 1)]
    return rows.filter(pl.col(time) < moment), rows.filter(pl.col(time) >= moment)


@stage
def main() -> None:
    """Split the validated rows."""
    settings = params()
    train, test = split(read_rows(ROWS), settings["split"]["test_share"], settings["seed"])
    if not train.height or not test.height:
        raise StageError(
            f"The split leaves {train.height} rows to train on and {test.height} to test on. "
            "Change test_share under [split] in params.toml, or bring more rows."
        )
    train.write_parquet(TRAIN)
    test.write_parquet(TEST)
    print(f"split: {train.height:,} rows to train on, {test.height:,} to test on")


if __name__ == "__main__":
    main()
