"""What a load test sends: rows that the release was checked with, as a caller would write them."""

from itertools import cycle, islice
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from rung_ops.release import bundle, paths
from rung_ops.release.dtypes import dtype_of

MOST = 1_000  # different bodies; a thousand rows are what a release carries
MAX_ROWS = 50_000  # in all bodies together, so that they fit into the memory


def bodies(rows: list[dict[str, Any]], size: int) -> list[bytes]:
    """Write requests of so many rows each, all rows in turn.

    Returns:
        JSON: one object where the size is 1, else an array of objects.
    """
    number = max(1, min(MOST, MAX_ROWS // size, len(rows)))
    if size == 1:
        return [msgspec.json.encode(row) for row in rows[:number]]
    endless = cycle(rows)
    return [msgspec.json.encode(list(islice(endless, size))) for _ in range(number)]


def rows_of(release: str, contract: dict[str, Any]) -> list[dict[str, Any]]:
    """Find rows for a release: those of its bundle where that lies here, else its example.

    Args:
        release: its id.
        contract: as the service tells it under /model.

    Returns:
        Rows by column, at least one.
    """
    for folder in _folders(release):
        try:
            held_out = pl.read_parquet(folder / bundle.PARITY)
            found = held_out.select(
                pl.col(column["name"]).cast(dtype_of(column["polars"]))
                for column in contract["columns"]
            )
        except (OSError, pl.exceptions.PolarsError):
            continue  # what is wrong with it, the service says
        if found.height:
            return found.to_dicts()
    return [contract["example"]]


def _folders(release: str) -> list[Path]:
    environments = [paths.environment(name) for name in paths.ENVIRONMENTS]
    return [
        *(paths.bundle(environment, release) for environment in environments),
        paths.candidates() / release,
    ]
