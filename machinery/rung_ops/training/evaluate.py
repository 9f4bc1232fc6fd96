"""Write what the evaluation found: figures, plots, and a report to look at."""

import json
import shutil
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from matplotlib.axes import Axes

from rung_ops import contract
from rung_ops.project import hooks
from rung_ops.project.paths import (
    METRICS,
    PLOTS,
    PREDICTIONS,
    REPORT,
    params,
    project_name,
    shown,
)
from rung_ops.training import estimator, plot_tables, plots
from rung_ops.training.report import page
from rung_ops.training.slices import score_by_slice

MAX_VALUES = 25  # a slice of more values is in the table; as a plot it cannot be read


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
    if estimator.is_classification(model):
        yield Plot("roc", "ROC curve", plot_tables.roc(actual, predicted), plots.roc)
        curve = plot_tables.precision_recall(actual, predicted)
        yield Plot("precision_recall", "Precision and recall", curve, plots.precision_recall)
        bins = plot_tables.calibration(actual, predicted)
        yield Plot("calibration", "Calibration of the probabilities", bins, plots.calibration)
    else:
        table = plot_tables.residuals(actual, predicted)
        yield Plot("residuals", "Residuals against predictions", table, plots.residuals)
        yield Plot("distribution", "Spread of the residuals", table, plots.distribution)
    weights = plot_tables.importances(model, rows)
    yield Plot("importances", "Importance of the features", weights, plots.importances)
    metric = params()["score"]["metric"]
    for (column,), table in slices.group_by("column", maintain_order=True):
        if 1 < table.height <= MAX_VALUES:
            what = f"{metric} by {column}"
            yield Plot(f"by_{column}", what, table, plots.by_slice(metric))


def write_report(
    model: Any, rows: pl.DataFrame, predicted: np.ndarray, metrics: dict[str, float]
) -> None:
    """Write the figures, the plots and reports/report.html, and print the figures.

    Plots of the hook `report_plots` and figures of the hook `report_metrics` are added.

    Args:
        model: what load_model() returns.
        rows: rows of Row that the model has not learned from, shape (n_rows, n_columns).
        predicted: shape (n_rows,), as predict() returns it.
        metrics: the figures of score().

    Raises:
        HookError: a hook cannot be used, or returns something else than it should.
    """
    metrics = metrics | _metrics_of_the_project(rows, predicted)
    slices = score_by_slice(rows, predicted)
    shutil.rmtree(PLOTS, ignore_errors=True)
    PLOTS.mkdir(parents=True)
    METRICS.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    rows.with_columns(predicted=predicted).write_parquet(PREDICTIONS)
    drawn = []
    of_the_project = _plots_of_the_project(model, rows, predicted)
    for plot in (*all_plots(model, rows, predicted, slices), *of_the_project):
        plot.table.write_csv(PLOTS / f"{plot.name}.csv")
        drawn.append((plot.what, plots.svg(plot.draw, plot.table)))
    REPORT.write_text(
        page(project_name(), _lead(model, rows), metrics, drawn, slices.to_dicts()),
        encoding="utf-8",
    )
    for name, value in metrics.items():
        print(f"{name:>20} {value:.4f}")
    print(f"Open {shown(REPORT)} in a browser.")


def _metrics_of_the_project(rows: pl.DataFrame, predicted: np.ndarray) -> dict[str, float]:
    metrics_of = hooks.load("report_metrics")
    if metrics_of is None:
        return {}
    found = metrics_of(rows, predicted)
    if not isinstance(found, dict):
        raise hooks.HookError(f"report_metrics: got {type(found).__name__}; expected a dict.")
    try:
        return {str(name): float(value) for name, value in found.items()}
    except (TypeError, ValueError) as error:
        raise hooks.HookError(f"report_metrics: a figure must be a number: {error}.") from error


def _plots_of_the_project(model: Any, rows: pl.DataFrame, predicted: np.ndarray) -> list[Plot]:
    plots_of = hooks.load("report_plots")
    found = [] if plots_of is None else list(plots_of(model, rows, predicted))
    for plot in found:
        if not isinstance(plot, Plot):
            raise hooks.HookError(
                f"report_plots: got {type(plot).__name__}; expected rung_ops.training.evaluate.Plot."
            )
    return found


def _lead(model: Any, rows: pl.DataFrame) -> str:
    last = getattr(model, "steps", [("", model)])[-1][1]
    sentence = f"{type(last).__name__} predicts {contract.TARGET}, judged on {rows.height:,} rows"
    if contract.TIME is None:
        return f"{sentence} it has not seen."
    days = rows[contract.TIME].dt.strftime("%Y-%m-%d")
    return f"{sentence} from {days.min()!s} to {days.max()!s}, later than all it learned from."
