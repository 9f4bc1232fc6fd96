"""Stage 3: keep the last rows by time for the test; without a time, a random share.

[split] of params.toml says how many, and which rows are too old to learn from.

Yours: split by customer or by region if your rows ask for it. `rows_to_split("customer")` reads
that column, too.
"""

import numpy as np
import polars as pl
from rung_ops.stages import (
    TEST,
    TRAIN,
    StageError,
    by_time,
    contract,
    in_use,
    in_window,
    known_at,
    made_at,
    params,
    rows_to_split,
    stage,
    write_split,
)


def split(
    rows: pl.DataFrame, test_share: float, seed: int, test_rows: int | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return training rows and test rows.

    The test begins at a moment, and has all rows from then on. Training has the rows whose outcome
    was known before it. Of a forecast, rows that were predicted before it and known later are in
    neither.
    """
    most = rows.height if test_rows is None else test_rows
    if contract.TIME is None:
        order = np.random.default_rng(seed).permutation(rows.height)
        cut = rows.height - min(round(rows.height * test_share), most)
        return rows[np.sort(order[:cut])], rows[np.sort(order[cut:])]
    rows = by_time(rows)
    made = made_at(rows)
    first = max(int(rows.height * (1 - test_share)), rows.height - most)
    moment = made.sort()[min(first, rows.height - 1)]
    before, test = rows.filter(known_at(rows) < moment), rows.filter(made >= moment)
    if between := rows.height - before.height - test.height:
        print(f"split: {between:,} rows between both are left out")
    return before, test


@stage
def main() -> None:
    """Split the validated rows."""
    settings = params()
    chosen = settings["split"]
    limits = chosen["test_share"], settings["seed"], chosen.get("test_rows")
    before, test = split(in_use(rows_to_split()), *limits)
    train = in_window(before, test)
    if not train.height or not test.height:
        raise StageError(
            f"The split leaves {train.height} rows to train on and {test.height} to test on. "
            "Change [split] in params.toml, or bring more rows."
        )
    write_split(train, TRAIN)
    write_split(test, TEST)
    print(f"split: {train.height:,} rows to train on, {test.height:,} to test on")


if __name__ == "__main__":
    main()
