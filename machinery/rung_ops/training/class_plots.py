"""Tables and plots of a classifier of several classes: which it confuses, and how sure it is."""

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from rung_ops.system.printable import printable
from rung_ops.training import plot_tables
from rung_ops.training.plots import BLUE, GREY, ORANGE

FEW = 12  # classes that a plot can tell apart; of more the most frequent ones are drawn


def confusion(truth: np.ndarray, predicted: np.ndarray, names: list[str]) -> pl.DataFrame:
    """Count rows by class and most probable class: actual, predicted, rows.

    Args:
        truth: codes of the classes, shape (n_rows,).
        predicted: probabilities, shape (n_rows, n_classes).
        names: of the classes.
    """
    codes = range(len(names))
    counts = confusion_matrix(truth, predicted.argmax(axis=1), labels=list(codes))
    return pl.DataFrame(
        [
            (names[row], names[column], int(counts[row, column]))
            for row in codes
            for column in codes
        ],
        schema=["actual", "predicted", "rows"],
        orient="row",
    )


def by_class(truth: np.ndarray, predicted: np.ndarray, names: list[str]) -> pl.DataFrame:
    """Compute precision and recall of each class, by the most probable one.

    Returns:
        One row for each: class, rows, predicted_rows, precision (null if it is never
        predicted), recall (null if it has no rows).
    """
    codes, chosen = list(range(len(names))), predicted.argmax(axis=1)
    precision, recall, _, rows = precision_recall_fscore_support(
        truth, chosen, labels=codes, zero_division=np.nan
    )
    table = {
        "class": names,
        "rows": rows.astype(np.int64),
        "predicted_rows": np.bincount(chosen, minlength=len(names)).astype(np.int64),
        "precision": precision,
        "recall": recall,
    }
    return pl.DataFrame(table).with_columns(pl.col("precision", "recall").fill_nan(None))


def calibration(truth: np.ndarray, predicted: np.ndarray, names: list[str]) -> pl.DataFrame:
    """Compute mean probability and observed share of each class in bins: class, predicted, observed.

    A class without a row, or with nothing but rows of it, has none.
    """
    tables = [
        plot_tables.calibration(truth == code, predicted[:, code]).select(
            pl.lit(name).alias("class"), "predicted", "observed"
        )
        for code, name in enumerate(names)
        if 0 < (truth == code).sum() < len(truth)
    ]
    schema = {"class": pl.String, "predicted": pl.Float64, "observed": pl.Float64}
    return pl.concat(tables) if tables else pl.DataFrame(schema=schema)


def draw_confusion(axes: Axes, table: pl.DataFrame) -> None:
    """Draw the share of each class that was taken for each: dark on the diagonal is right."""
    names = table["actual"].unique(maintain_order=True).to_list()
    counts = table["rows"].to_numpy().reshape(len(names), len(names))
    most = np.sort(np.argsort(-counts.sum(axis=1), kind="stable")[:FEW])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shares, counts = (each[np.ix_(most, most)] for each in (shares, counts))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*counts.shape):
        colour = "white" if shares[row, column] > 0.5 else "black"
        text = f"{counts[row, column]:,}"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    shown = [printable(names[code]) for code in most]
    axes.set_xticks(range(len(most)), shown, rotation=45, ha="right")
    axes.set_yticks(range(len(most)), shown)
    axes.set(title="Confusion matrix (rows)", xlabel="predicted", ylabel="actual")


def draw_by_class(axes: Axes, table: pl.DataFrame) -> None:
    """Draw precision and recall of each class."""
    top = table.sort("rows", descending=True, maintain_order=True).head(FEW).reverse()
    places = np.arange(top.height)
    for offset, figure, colour in ((0.2, "precision", BLUE), (-0.2, "recall", ORANGE)):
        values = top[figure].fill_null(0)
        axes.barh(places + offset, values, height=0.38, color=colour, label=figure)
    axes.set_yticks(places, [printable(name) for name in top["class"]])
    axes.set(title="Precision and recall by class", xlim=(0, 1.02))
    axes.legend(frameon=False)


def draw_calibration(axes: Axes, table: pl.DataFrame) -> None:
    """Draw predicted probabilities of each class against observed shares."""
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="perfect")
    names = table["class"].unique(maintain_order=True).to_list()[:FEW]
    for name in names:
        of_class = table.filter(pl.col("class") == name)
        line = of_class["predicted"], of_class["observed"]
        axes.plot(*line, marker="o", markersize=3, label=printable(name))
    axes.set(title="Calibration by class", xlabel="predicted probability", ylabel="observed share")
    axes.legend(frameon=False)
