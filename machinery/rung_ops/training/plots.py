"""The plots of the report, each drawn as SVG from a table of plot_tables."""

from collections.abc import Callable
from io import StringIO
from typing import Any

import matplotlib
import numpy as np
import polars as pl

matplotlib.use("Agg")  # works without a display, as in CI

import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402

from rung_ops.system.printable import printable  # noqa: E402

BLUE, ORANGE, GREY = "#2f6db3", "#d9822b", "#8a94a0"
STYLE: Any = {
    "svg.hashsalt": "rung",  # the same figures give the same bytes
    "svg.fonttype": "path",
    "text.parse_math": False,  # a category of "$5" is text
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "figure.constrained_layout.use": True,
}


def roc(axes: Axes, table: pl.DataFrame) -> None:
    """Draw the ROC curve with the diagonal of a random model."""
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="chance")
    axes.plot(table["false_positive_rate"], table["true_positive_rate"], color=BLUE, label="model")
    axes.set(title="ROC curve", xlabel="false positive rate", ylabel="true positive rate")
    axes.legend(frameon=False)


def precision_recall(axes: Axes, table: pl.DataFrame) -> None:
    """Draw precision against recall."""
    axes.plot(table["recall"], table["precision"], color=BLUE)
    axes.set(title="Precision and recall", xlabel="recall", ylabel="precision", ylim=(0, 1.02))


def calibration(axes: Axes, table: pl.DataFrame) -> None:
    """Draw predicted probabilities against observed shares."""
    top = max(0.05, float(table.select("predicted", "observed").to_numpy().max())) * 1.05
    axes.plot([0, top], [0, top], color=GREY, linestyle="--", linewidth=1, label="perfect")
    axes.plot(table["predicted"], table["observed"], color=BLUE, marker="o", label="model")
    axes.set(title="Calibration", xlabel="predicted probability", ylabel="observed share")
    axes.legend(frameon=False)


def residuals(axes: Axes, table: pl.DataFrame) -> None:
    """Draw residuals against predictions; a visible pattern is one that the model missed."""
    axes.axhline(0, color=GREY, linestyle="--", linewidth=1)
    axes.scatter(table["predicted"], table["residual"], s=8, alpha=0.35, color=BLUE, linewidths=0)
    axes.set(title="Residuals", xlabel="predicted", ylabel="actual minus predicted")


def residuals_over_time(axes: Axes, table: pl.DataFrame) -> None:
    """Draw the mean residual by time, and the middle four fifths; a drift is one to come."""
    axes.axhline(0, color=GREY, linestyle="--", linewidth=1)
    axes.fill_between(table["time"], table["p10"], table["p90"], color=BLUE, alpha=0.2)
    axes.plot(table["time"], table["residual"], color=BLUE, marker="o", markersize=3)
    axes.tick_params(axis="x", rotation=45)
    axes.set(title="Residuals over time", ylabel="actual minus predicted")


def distribution(axes: Axes, table: pl.DataFrame) -> None:
    """Draw the distribution of the residuals."""
    axes.hist(table["residual"], bins=40, color=BLUE)
    axes.set(title="Distribution of residuals", xlabel="actual minus predicted", ylabel="rows")


def importances(axes: Axes, table: pl.DataFrame) -> None:
    """Draw the fifteen most important features."""
    top = table.head(15).reverse()
    axes.barh(top["feature"], top["importance"], xerr=top["deviation"], color=BLUE, ecolor=GREY)
    axes.set(title="Feature importance", xlabel="loss of score when shuffled")


def by_slice(metric: str) -> Callable[[Axes, pl.DataFrame], None]:
    """Return a function that draws the metric and the number of rows by value of a column."""

    def draw(axes: Axes, table: pl.DataFrame) -> None:
        positions = np.arange(table.height)
        scored = table[metric] if metric in table.columns else pl.Series([None] * table.height)
        figures = scored.cast(pl.Float64).to_numpy()
        linestyle = "-" if _ordered(table) else ""
        axes.plot(positions, figures, color=BLUE, marker="o", linestyle=linestyle)
        names = [printable(str(value)) for value in table["value"]]
        axes.set_xticks(positions, names, rotation=45, ha="right")
        axes.set(title=f"{metric} by {table['column'][0]}", ylabel=metric)
        background = axes.twinx()
        background.bar(positions, table["rows"], color=ORANGE, alpha=0.25)
        background.set(ylabel="rows (bars)")
        background.spines["right"].set_visible(True)
        axes.set_zorder(background.get_zorder() + 1)
        axes.patch.set_visible(False)

    return draw


def _ordered(table: pl.DataFrame) -> bool:
    return table["column"][0] in ("month", "horizon")


def svg(draw: Callable[[Axes, pl.DataFrame], None], table: pl.DataFrame) -> str:
    """Draw one plot; return it as an SVG element for HTML."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(5.2, 3.8))
        draw(axes, table)
        text = StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
        plt.close(figure)
    document = text.getvalue()
    return document[document.index("<svg") :]
