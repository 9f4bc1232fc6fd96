"""Checks that src/ keeps what it promises, before anything is built on it."""

from collections import Counter
from collections.abc import Iterator

import polars as pl
from polars.testing import assert_frame_equal

from rung_ops import contract
from rung_ops.project.paths import params


def broken_promises() -> list[str]:
    """Name every promise of src/ and params.toml that does not hold; empty when all do."""
    return [*_of_the_rows(), *_of_the_features(), *_of_the_parameters()]


def _of_the_rows() -> Iterator[str]:
    columns = contract.Row.to_schema().dtypes
    if contract.TARGET not in columns:
        yield f"dataset.py: TARGET is `{contract.TARGET}`, which is no column of Row"
    if contract.TIME is None:
        return
    if contract.TIME not in columns:
        yield f"dataset.py: TIME is `{contract.TIME}`, which is no column of Row"
    elif columns[contract.TIME].type not in (pl.Date, pl.Datetime):
        yield f"dataset.py: TIME is `{contract.TIME}`, which is neither a date nor a datetime"


def _of_the_features() -> Iterator[str]:
    columns = set(contract.Row.to_schema().dtypes)
    names = Counter(expression.meta.output_name() for expression in contract.FEATURES)
    for name, times in names.items():
        if times > 1:
            yield f"features.py: {times} features are called `{name}`; give each its own alias"
    for expression in contract.FEATURES:
        name = expression.meta.output_name()
        read = set(expression.meta.root_names())
        if contract.TARGET in read:
            yield f"features.py: `{name}` reads the target `{contract.TARGET}`"
        for unknown in sorted(read - columns):
            yield f"features.py: `{name}` reads `{unknown}`, which is no column of Row"


def _of_the_parameters() -> Iterator[str]:
    known = {*contract.Row.to_schema().dtypes, *(e.meta.output_name() for e in contract.FEATURES)}
    for column in params().get("report", {}).get("slices", []):
        if column not in known:
            yield f"params.toml: [report] slices names `{column}`, neither a column nor a feature"
    share = params()["split"]["test_share"]
    if not 0 < share < 1:
        yield f"params.toml: [split] test_share is {share}; it must lie between 0 and 1"


def reads_its_own_row_only(rows: pl.DataFrame) -> bool:
    """Tell whether FEATURES of one row alone equal those of the same row among others.

    A service sees one row at a time: an average over the column would be another number there.
    """
    together = rows.select(contract.FEATURES)
    alone = pl.concat([rows[i : i + 1].select(contract.FEATURES) for i in range(rows.height)])
    try:
        assert_frame_equal(together, alone)
    except AssertionError:
        return False
    return together.height == rows.height
