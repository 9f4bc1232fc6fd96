"""Your tests of features.py: rows go in, features come out."""

import polars as pl
from rung_ops import contract
from rung_ops.data.ingest import sample_rows


def sample() -> pl.DataFrame:
    rows = sample_rows()
    return rows.sample(min(1_000, rows.height), seed=1)


def test_there_is_one_row_of_features_for_each_row() -> None:
    rows = sample()

    features = rows.select(contract.FEATURES)

    assert features.height == rows.height
