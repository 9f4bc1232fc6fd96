"""The requests of a load test: parity rows of the release, as JSON."""

from itertools import cycle, islice
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from rung_ops.model import bundle
from rung_ops.model.columns import dtype_of
from rung_ops.project import release_folders

MAX_BODIES = 1_000  # as many as a release has parity rows
MAX_ROWS = 50_000  # of all bodies, to limit memory


def bodies(rows: list[dict[str, Any]], size: int) -> list[bytes]:
    """Build request bodies of `size` rows each, using the rows in turn.

    Returns:
        JSON: an object for size 1, otherwise an array of objects.
    """
    number = max(1, min(MAX_BODIES, MAX_ROWS // size, len(rows)))
    if size == 1:
        return [msgspec.json.encode(row) for row in rows[:number]]
    endless = cycle(rows)
    return [msgspec.json.encode(list(islice(endless, size))) for _ in range(number)]


def rows_of(release: str, contract: dict[str, Any]) -> list[dict[str, Any]]:
    """Return rows for a release: the parity rows of a local bundle, or else the example row.

    Args:
        release: its id.
        contract: from the service's /model.

    Returns:
        Rows as mappings from column to value, at least one.
    """
    for folder in _folders(release):
        try:
            held_out = pl.read_parquet(folder / bundle.PARITY)
            rows = held_out.select(
                pl.col(column["name"]).cast(dtype_of(column["polars"]))
                for column in contract["columns"]
            )
        except (OSError, pl.exceptions.PolarsError):
            continue  # the service reports what is wrong with it
        if rows.height:
            return rows.to_dicts()
    return [contract["example"]]


def _folders(release: str) -> list[Path]:
    environments = [release_folders.environment(name) for name in release_folders.ENVIRONMENTS]
    return [
        *(release_folders.bundle(environment, release) for environment in environments),
        release_folders.candidates() / release,
    ]
