"""The report's plots, each an SVG drawn from a table of figures.py."""

from collections.abc import Callable
from io import StringIO
from typing import Any

import matplotlib
import numpy as np
import polars as pl

matplotlib.use("Agg")  # no screen is needed, and none is there in CI

import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402

BLUE, ORANGE, GREY = "#2f6db3", "#d9822b", "#8a94a0"
STYLE: Any = {
    "svg.hashsalt": "rung",  # the same figures give the same bytes
    "svg.fonttype": "path",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "figure.constrained_layout.use": True,
}


def roc(axes: Axes, table: pl.DataFrame) -> None:
    """ROC curve with the line of chance."""
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="chance")
    axes.plot(table["false_positive_rate"], table["true_positive_rate"], color=BLUE, label="model")
    axes.set(title="ROC curve", xlabel="false positive rate", ylabel="true positive rate")
    axes.legend(frameon=False)


def precision_recall(axes: Axes, table: pl.DataFrame) -> None:
    """Precision against recall."""
    axes.plot(table["recall"], table["precision"], color=BLUE)
    axes.set(title="Precision and recall", xlabel="recall", ylabel="precision", ylim=(0, 1.02))


def calibration(axes: Axes, table: pl.DataFrame) -> None:
    """What was said against what came true."""
    top = max(0.05, float(table.select("predicted", "observed").to_numpy().max())) * 1.05
    axes.plot([0, top], [0, top], color=GREY, linestyle="--", linewidth=1, label="perfect")
    axes.plot(table["predicted"], table["observed"], color=BLUE, marker="o", label="model")
    axes.set(title="Calibration", xlabel="predicted probability", ylabel="share that came true")
    axes.legend(frameon=False)


def residuals(axes: Axes, table: pl.DataFrame) -> None:
    """Residuals against predictions: a pattern here is something the model has missed."""
    axes.axhline(0, color=GREY, linestyle="--", linewidth=1)
    axes.scatter(table["predicted"], table["residual"], s=8, alpha=0.35, color=BLUE, linewidths=0)
    axes.set(title="Residuals", xlabel="predicted", ylabel="truth less prediction")


def distribution(axes: Axes, table: pl.DataFrame) -> None:
    """How the residuals are spread."""
    axes.hist(table["residual"], bins=40, color=BLUE)
    axes.set(title="Spread of the residuals", xlabel="truth less prediction", ylabel="rows")


def importances(axes: Axes, table: pl.DataFrame) -> None:
    """The fifteen features that matter most."""
    best = table.head(15).reverse()
    axes.barh(best["feature"], best["importance"], xerr=best["deviation"], color=BLUE, ecolor=GREY)
    axes.set(title="Importance of the features", xlabel="loss of score when shuffled")


def by_slice(metric: str) -> Callable[[Axes, pl.DataFrame], None]:
    """The metric for each value of one column, with the number of rows."""

    def draw(axes: Axes, table: pl.DataFrame) -> None:
        places = np.arange(table.height)
        scored = table[metric] if metric in table.columns else pl.Series([None] * table.height)
        figures = scored.cast(pl.Float64).to_numpy()
        axes.plot(places, figures, color=BLUE, marker="o", linestyle="-" if _ordered(table) else "")
        axes.set_xticks(places, table["value"].to_list(), rotation=45, ha="right")
        axes.set(title=f"{metric} by {table['column'][0]}", ylabel=metric)
        behind = axes.twinx()
        behind.bar(places, table["rows"], color=ORANGE, alpha=0.25)
        behind.set(ylabel="rows (bars)")
        behind.spines["right"].set_visible(True)
        axes.set_zorder(behind.get_zorder() + 1)
        axes.patch.set_visible(False)

    return draw


def _ordered(table: pl.DataFrame) -> bool:
    return bool(table["column"][0] == "month")


def svg(draw: Callable[[Axes, pl.DataFrame], None], table: pl.DataFrame) -> str:
    """Draw one plot as an SVG element to stand inside HTML."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(5.2, 3.8))
        draw(axes, table)
        text = StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
        plt.close(figure)
    drawn = text.getvalue()
    return drawn[drawn.index("<svg") :]
