"""Write the rows: `rows.py FOLDER ROWS`, in an environment with NumPy and Polars.

20 columns; five of them changed, one of each kind. Changes are well above what any of the tools
calls small, and the others are drawn from the same distribution, so that there is a right answer.
"""

import json
import sys
from pathlib import Path

import numpy as np
import polars as pl

LEVELS = [f"level {number}" for number in range(30)]
OFTEN = 1 / np.arange(1, 31)
CHANGED = ["normal 0", "skewed 0", "counts 0", "words 0", "few 0"]


def rows(count: int, seed: int, changed: bool) -> pl.DataFrame:
    draws = np.random.default_rng(seed)
    shares = OFTEN / OFTEN.sum()

    def moved(number: int) -> bool:
        return changed and number == 0

    return pl.DataFrame(
        {
            **{f"normal {n}": draws.normal(0.5 * moved(n), 1, count) for n in range(6)},
            **{f"skewed {n}": draws.lognormal(0.5 * moved(n), 1, count) for n in range(4)},
            **{f"counts {n}": draws.poisson(4 + 2 * moved(n), count) for n in range(4)},
            **{
                f"words {n}": draws.choice(LEVELS, count, p=shares[::-1] if moved(n) else shares)
                for n in range(4)
            },
            **{
                f"few {n}": draws.choice(
                    ["a", "b", "c"], count, p=[0.4, 0.4, 0.2] if moved(n) else [0.6, 0.3, 0.1]
                )
                for n in range(2)
            },
        }
    )


folder, count = Path(sys.argv[1]), int(sys.argv[2])
rows(count, 1, changed=False).write_parquet(folder / "reference.parquet")
rows(count, 2, changed=True).write_parquet(folder / "current.parquet")
(folder / "changed.json").write_text(json.dumps(CHANGED))
