"""A plot shows what the data says as text, whatever it says."""

import warnings
from datetime import date
from html import unescape

import matplotlib.pyplot as plt
import polars as pl
import pytest
from matplotlib.axes import Axes

from rung_ops.project.paths import params
from rung_ops.training import plots


def slices(column: str, values: list[str], figures: list[float]) -> pl.DataFrame:
    """Make slices as with_intervals() does, of the metric of this project; the last has no interval."""
    metric = params()["score"]["metric"]
    table = {"column": [column] * len(values), "value": values, "rows": [30] * len(values)}
    reach = [0.1] * (len(values) - 1) + [None]
    return pl.DataFrame(table | {metric: figures, "low": reach, "high": reach}).with_columns(
        low=pl.col(metric) - pl.col("low"), high=pl.col(metric) + pl.col("high")
    )


@pytest.mark.parametrize("value", [r"$\\frac$", "$5-$10", "red\x1b[31m", "line\nbreak", ""])
def test_any_category_can_be_drawn(value: str) -> None:
    table = slices("a", [value], [0.7])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = plots.svg(plots.draw_by_slice(table, 0.7), table)

    assert "<svg" in unescape(drawn)


def drawn(table: pl.DataFrame, all_of_them: pl.DataFrame) -> Axes:
    axes = plt.figure().add_subplot()
    plots.draw_by_slice(all_of_them, 0.65)(axes, table)
    return axes


def test_the_worst_slice_is_at_the_top_and_all_columns_have_one_axis() -> None:
    first, second = (
        slices("a", ["x", "y", "z"], [0.6, 0.5, 0.7]),
        slices("b", ["u", "v"], [0.9, 0.6]),
    )
    both = pl.concat([first, second])

    axes = drawn(first, both), drawn(second, both)

    labels = [[label.get_text() for label in each.get_yticklabels()] for each in axes]
    assert labels[0] == ["z (30)", "x (30)", "y (30)"]  # from the bottom
    assert axes[0].get_xlim() == axes[1].get_xlim()
    low, high = axes[0].get_xlim()
    assert low < 0.4 and high > 1.0  # no interval is cut


def test_months_keep_their_order() -> None:
    table = slices("month", ["2026-01", "2026-02"], [0.9, 0.5])

    labels = [label.get_text() for label in drawn(table, table).get_yticklabels()]

    assert labels == ["2026-02 (30)", "2026-01 (30)"]


def test_the_time_line_names_every_month_even_without_rows() -> None:
    learned = pl.Series([date(2026, 1, 3), date(2026, 1, 9), None])
    judged = pl.Series([date(2026, 3, 1)])

    table = plots.rows_by_month(learned, judged)

    assert table.rows() == [
        (date(2026, 1, 1), 2, 0),
        (date(2026, 2, 1), 0, 0),
        (date(2026, 3, 1), 0, 1),
    ]
