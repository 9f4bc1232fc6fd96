"""Tables and plots of predicted quantiles: whether as many rows lie below them as they say."""

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
from matplotlib.axes import Axes

from rung_ops.model.target import inside
from rung_ops.system.printable import printable
from rung_ops.training.plots import BLUE, GREY
from rung_ops.training.slices import MIN_ROWS, slice_columns, sort_key

SHOWN = 20  # slices that a plot has room for; of more the largest ones are drawn


def below(truth: np.ndarray, predicted: np.ndarray, quantiles: Sequence[float]) -> pl.DataFrame:
    """Compute the share of rows at or below each quantile: quantile, observed.

    Args:
        truth: shape (n_rows,).
        predicted: shape (n_rows, n_quantiles).
        quantiles: of its columns.
    """
    observed = (truth[:, None] <= predicted).mean(axis=0)
    return pl.DataFrame({"quantile": list(quantiles), "observed": observed})


def coverage(truth: np.ndarray, predicted: np.ndarray, rows: pl.DataFrame) -> pl.DataFrame:
    """Compute the share of rows inside the interval, of all and of each slice.

    Args:
        truth: shape (n_rows,).
        predicted: low, median and high, shape (n_rows, 3).
        rows: of Row.

    Returns:
        One row each, of slices with MIN_ROWS rows or more: slice, rows, coverage, width (the mean).
    """
    width = predicted[:, 2] - predicted[:, 0]
    table = slice_columns(rows).with_columns(held=inside(truth, predicted), width=width)
    figures = (
        pl.len().alias("rows"),
        pl.col("held").mean().alias("coverage"),
        pl.col("width").mean(),
    )
    parts = [table.select(pl.lit("all rows").alias("slice"), *figures)]
    for name in table.columns[:-2]:
        shares = table.group_by(name).agg(figures)
        values = shares[name].to_list()
        order = sorted(range(len(values)), key=lambda row: sort_key(values[row]))
        named = pl.format("{} {}", pl.lit(name), name).alias("slice")
        parts.append(shares[order].select(named, pl.exclude(name)))
    return pl.concat(parts).filter(pl.col("rows") >= MIN_ROWS)


def draw_below(axes: Axes, table: pl.DataFrame) -> None:
    """Draw the quantiles against the observed shares."""
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="perfect")
    axes.plot(table["quantile"], table["observed"], color=BLUE, marker="o", label="model")
    axes.set(title="Quantiles", xlabel="predicted quantile", ylabel="share of rows below it")
    axes.legend(frameon=False)


def draw_coverage(level: float) -> Callable[[Axes, pl.DataFrame], None]:
    """Return a function that draws the share of each slice beside the promised one."""

    def draw(axes: Axes, table: pl.DataFrame) -> None:
        most = table.with_row_index().sort("rows", descending=True).head(SHOWN).sort("index")
        top = most.reverse()
        axes.axvline(level, color=GREY, linestyle="--", linewidth=1, label=f"{level:.0%}")
        axes.plot(top["coverage"], np.arange(top.height), color=BLUE, marker="o", linestyle="")
        axes.set_yticks(range(top.height), [printable(name) for name in top["slice"]])
        axes.set(title="Rows inside the interval", xlabel="share", xlim=(0, 1.02))
        axes.legend(frameon=False)

    return draw
