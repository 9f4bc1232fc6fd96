"""The stages do what their names say.

Rung keeps this file; change it through src/ and params.toml.
"""

import polars as pl

from ops import contract
from ops.ingest import read
from ops.quality import inspect
from ops.settings import params, raw_files
from ops.split import split


def rows() -> pl.DataFrame:
    schema = contract.Row.to_schema()
    typed, problems = inspect(read(raw_files()[0]), schema, "sample")
    assert problems == []
    return typed


def test_the_split_loses_no_row_and_tests_on_what_comes_later() -> None:
    whole = rows()
    settings = params()

    train, test = split(whole, settings["split"]["test_share"], settings["seed"])

    assert train.height + test.height == whole.height
    if contract.TIME is not None:
        last = train.sort(contract.TIME)[contract.TIME][-1]
        assert (test[contract.TIME] > last).all()


def test_the_split_is_the_same_each_time() -> None:
    whole = rows()

    first, second = split(whole, 0.3, 7), split(whole, 0.3, 7)

    assert first[0].equals(second[0])
    assert first[1].equals(second[1])
