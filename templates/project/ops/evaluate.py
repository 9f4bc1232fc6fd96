"""Stage: judge the model on the test rows: figures, plots, and a report to look at.

Rung keeps this file; change it through src/ and params.toml.
"""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from sklearn.base import is_classifier

from ops import contract, estimator, figures, plots
from ops.report import page
from ops.settings import (
    METRICS,
    MODEL,
    PLOTS,
    PREDICTIONS,
    REPORT,
    TEST,
    params,
    project_name,
    shown,
)
from ops.slices import score_by_slice

MOST_VALUES = 25  # a slice of more values is in the table; as a plot it cannot be read


class Plot(NamedTuple):
    """One plot: its file name, what it shows, its table, and how it is drawn."""

    name: str
    what: str
    table: pl.DataFrame
    draw: Callable[[Axes, pl.DataFrame], None]


def all_plots(
    model: Any, rows: pl.DataFrame, predicted: np.ndarray, slices: pl.DataFrame
) -> Iterator[Plot]:
    """Yield the plots that a data scientist expects of such a model."""
    actual = estimator.truth(rows)
    if is_classifier(model):
        yield Plot("roc", "ROC curve", figures.roc(actual, predicted), plots.roc)
        curve = figures.precision_recall(actual, predicted)
        yield Plot("precision_recall", "Precision and recall", curve, plots.precision_recall)
        bins = figures.calibration(actual, predicted)
        yield Plot("calibration", "Calibration of the probabilities", bins, plots.calibration)
    else:
        table = figures.residuals(actual, predicted)
        yield Plot("residuals", "Residuals against predictions", table, plots.residuals)
        yield Plot("distribution", "Spread of the residuals", table, plots.distribution)
    weights = figures.importances(model, rows)
    yield Plot("importances", "Importance of the features", weights, plots.importances)
    metric = params()["score"]["metric"]
    for (column,), table in slices.group_by("column", maintain_order=True):
        if 1 < table.height <= MOST_VALUES:
            what = f"{metric} by {column}"
            yield Plot(f"by_{column}", what, table, plots.by_slice(metric))


def main() -> int:
    """Evaluate the trained model; return the exit code."""
    try:
        model = estimator.load(MODEL)
    except FileNotFoundError:
        print("There is no model yet: `uv run poe train` makes one.", file=sys.stderr)
        return 1
    rows = pl.read_parquet(TEST)
    predicted = estimator.predict(model, rows)
    metrics = {
        name: float(value)
        for name, value in contract.score(estimator.truth(rows), predicted).items()
    }
    slices = score_by_slice(rows, predicted)

    shutil.rmtree(PLOTS, ignore_errors=True)
    PLOTS.mkdir(parents=True)
    METRICS.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    rows.with_columns(predicted=predicted).write_parquet(PREDICTIONS)
    drawn = []
    for plot in all_plots(model, rows, predicted, slices):
        plot.table.write_csv(PLOTS / f"{plot.name}.csv")
        drawn.append((plot.what, plots.svg(plot.draw, plot.table)))
    REPORT.write_text(
        page(project_name(), _lead(model, rows), metrics, drawn, slices.to_dicts()),
        encoding="utf-8",
    )

    for name, value in metrics.items():
        print(f"{name:>20} {value:.4f}")
    print(f"look at {shown(REPORT)}")
    return 0


def _lead(model: Any, rows: pl.DataFrame) -> str:
    last = getattr(model, "steps", [("", model)])[-1][1]
    sentence = f"{type(last).__name__} predicts {contract.TARGET}, judged on {rows.height:,} rows"
    if contract.TIME is None:
        return f"{sentence} it has not seen."
    days = rows[contract.TIME].dt.strftime("%Y-%m-%d")
    return f"{sentence} from {days.min()!s} to {days.max()!s}, later than all it learned from."


if __name__ == "__main__":
    sys.exit(main())
