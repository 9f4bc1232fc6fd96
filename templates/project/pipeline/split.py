"""Stage 3: keep the last rows by time for the test; without a time, a random share.

Yours: split by customer or by region if your rows ask for it.
"""

import numpy as np
import polars as pl
from rung_ops.stages import (
    ROWS,
    TEST,
    TRAIN,
    StageError,
    contract,
    known_at,
    made_at,
    params,
    read_rows,
    stage,
)


def split(rows: pl.DataFrame, test_share: float, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return training rows and test rows.

    The test begins at a moment. Training has the rows whose outcome was known before it. Of a
    forecast, rows that were predicted before it and known later are in neither.
    """
    if contract.TIME is None:
        order = np.random.default_rng(seed).permutation(rows.height)
        cut = rows.height - round(rows.height * test_share)
        return rows[np.sort(order[:cut])], rows[np.sort(order[cut:])]
    rows = rows.sort(contract.TIME, maintain_order=True)
    made = made_at(rows)
    moment = made.sort()[min(int(rows.height * (1 - test_share)), rows.height - 1)]
    return rows.filter(known_at(rows) < moment), rows.filter(made >= moment)


@stage
def main() -> None:
    """Split the validated rows."""
    settings = params()
    rows = read_rows(ROWS)
    train, test = split(rows, settings["split"]["test_share"], settings["seed"])
    if not train.height or not test.height:
        raise StageError(
            f"The split leaves {train.height} rows to train on and {test.height} to test on. "
            "Change test_share under [split] in params.toml, or bring more rows."
        )
    train.write_parquet(TRAIN)
    test.write_parquet(TEST)
    print(f"split: {train.height:,} rows to train on, {test.height:,} to test on")
    if between := rows.height - train.height - test.height:
        print(f"split: {between:,} rows between both are left out")


if __name__ == "__main__":
    main()
