"""A plot shows what the data says as text, whatever it says."""

import warnings
from html import unescape

import polars as pl
import pytest

from rung_ops.training import plots


@pytest.mark.parametrize("value", [r"$\\frac$", "$5-$10", "red\x1b[31m", "line\nbreak", ""])
def test_any_category_can_be_drawn(value: str) -> None:
    table = pl.DataFrame({"column": ["a"], "value": [value], "rows": [3], "auc": [0.7]})

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = plots.svg(plots.draw_by_slice("auc"), table)

    assert "<svg" in unescape(drawn)
