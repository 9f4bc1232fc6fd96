"""Write the results of the evaluation: figures, plots and an HTML report (its layout is in evaluate.html)."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from matplotlib.axes import Axes

from rung_ops import contract
from rung_ops.contract import forecast
from rung_ops.model.target import inside, numbers
from rung_ops.project import current, hooks
from rung_ops.project.paths import params, project_name, shown
from rung_ops.system import html
from rung_ops.system.printable import in_column
from rung_ops.training import baseline, estimator, model_card, plots, refit
from rung_ops.training.slice_scores import score_by_slice

LAYOUT = Path(__file__).with_suffix(".html")


def page(
    title: str,
    lead: str,
    metrics: dict[str, float],
    plots: list[tuple[str, str]],
    slices: list[dict[str, object]],
) -> str:
    """Render the report as HTML.

    Args:
        title: the heading.
        lead: one sentence about the model and its test rows.
        metrics: the figures of score().
        plots: the label and the SVG of each plot.
        slices: rows of the table, each a mapping of column names to cells.
    """
    return html.render(LAYOUT, title=title, lead=lead, metrics=metrics, plots=plots, slices=slices)


MAX_VALUES = 25  # slices with more values are only in the table: a plot would be unreadable


class Plot(NamedTuple):
    """A plot of the report.

    Attributes:
        name: file name of its table, without suffix.
        what: what it shows, for readers who cannot see it.
        table: the data that it shows.
        draw: draws the table on axes.
    """

    name: str
    what: str
    table: pl.DataFrame
    draw: Callable[[Axes, pl.DataFrame], None]


def all_plots(
    model: Any, rows: pl.DataFrame, predicted: np.ndarray, slices: pl.DataFrame
) -> Iterator[Plot]:
    """Yield the standard plots of a classifier, of two classes or several, or of a regressor."""
    actual, kind = estimator.truth(rows), estimator.kind()
    if names := estimator.classes():
        table = plots.confusion(actual, predicted, names)
        yield Plot("confusion", "Confusion matrix", table, plots.draw_confusion)
        table = plots.by_class(actual, predicted, names)
        what = "Precision and recall by class"
        yield Plot(model_card.BY_CLASS, what, table, plots.draw_by_class)
        table = plots.calibration_by_class(actual, predicted, names)
        yield Plot("calibration", "Calibration by class", table, plots.draw_calibration_by_class)
    elif estimator.is_classification(model):
        yield Plot("roc", "ROC curve", plots.roc(actual, predicted), plots.draw_roc)
        curve = plots.precision_recall(actual, predicted)
        yield Plot("precision_recall", "Precision and recall", curve, plots.draw_precision_recall)
        bins = plots.calibration(actual, predicted)
        yield Plot("calibration", "Calibration of the probabilities", bins, plots.draw_calibration)
    else:
        if kind.quantiles:
            table = plots.rows_below(actual, predicted, kind.quantiles)
            yield Plot("quantiles", "Rows below each quantile", table, plots.draw_rows_below)
            table = plots.interval_coverage(actual, predicted, rows)
            what = "Rows inside the interval, by slice"
            yield Plot("coverage", what, table, plots.draw_interval_coverage(kind.level))
        one = numbers(predicted, kind)
        if contract.TIME is not None:
            table = plots.residuals_over_time(actual, one, rows[contract.TIME])
            what = "Residuals over time"
            yield Plot("residuals_over_time", what, table, plots.draw_residuals_over_time)
        table = plots.residuals(actual, one)
        yield Plot("residuals", "Residuals against predictions", table, plots.draw_residuals)
        yield Plot("distribution", "Spread of the residuals", table, plots.draw_distribution)
    weights = plots.importances(model, rows)
    yield Plot("importances", "Feature importance", weights, plots.draw_importances)
    metric = params()["score"]["metric"]
    for (column,), table in slices.group_by("column", maintain_order=True):
        if 1 < table.height <= MAX_VALUES:
            what = f"{metric} by {column}"
            yield Plot(f"by_{column}", what, table, plots.draw_by_slice(metric))


def write_report(
    model: Any, rows: pl.DataFrame, predicted: np.ndarray, metrics: dict[str, float]
) -> None:
    """Write figures, plots and reports/report.html, and print the figures.

    Includes the plots of the hook `report_plots` and the figures of the hook `report_metrics`. Of
    quantiles: how many rows the interval holds, how wide it is, and in how many rows they crossed. Of
    a forecast: the figures of its baselines.

    Args:
        model: from load_model().
        rows: held-out rows of Row, shape (n_rows, n_columns).
        predicted: from predict().
        metrics: the figures of score().

    Raises:
        HookError: a hook cannot be loaded, or returns a wrong type.
    """
    metrics = metrics | _interval_metrics(model, rows, predicted) | _baseline_metrics(rows)
    metrics |= _hook_metrics(rows, predicted)
    slices = score_by_slice(rows, predicted)
    shutil.rmtree(current().plots, ignore_errors=True)
    current().plots.mkdir(parents=True)
    current().metrics.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    rows.with_columns(predicted=predicted).write_parquet(current().predictions)
    images = []
    hook_plots = _hook_plots(model, rows, predicted)
    for plot in (*all_plots(model, rows, predicted, slices), *hook_plots):
        plot.table.write_csv(current().plots / f"{plot.name}.csv")
        images.append((plot.what, plots.svg(plot.draw, plot.table)))
    current().report.write_text(
        page(
            *(project_name(), f"{_lead(model, rows)}{_months(rows)}", metrics, images),
            slices.to_dicts(),
        ),
        encoding="utf-8",
    )
    for name, value in metrics.items():
        print(f"{name:>20} {in_column(value, 4)}")
    print(f"Open {shown(current().report)} in a browser.")


def _months(rows: pl.DataFrame) -> str:
    """Say what the model was trained on; empty if the stage before did not write its rows."""
    if not current().train.is_file():
        return ""
    used = refit.used_rows(pl.read_parquet(current().train), rows)
    return f" {refit.sentence(used, current().reports)}"


def _interval_metrics(model: Any, rows: pl.DataFrame, predicted: np.ndarray) -> dict[str, float]:
    if not estimator.kind().quantiles:
        return {}
    return {
        "interval_coverage": float(inside(estimator.truth(rows), predicted).mean()),
        "interval_width": float((predicted[:, 2] - predicted[:, 0]).mean()),
        "quantiles_crossed": estimator.crossed(model, rows),
    }


def _baseline_metrics(rows: pl.DataFrame) -> dict[str, float]:
    """Score the baselines of a forecast; none if the stages before did not write their rows."""
    if forecast.declared() is None or not (current().train.is_file() and current().rows.is_file()):
        return {}
    metric = params()["score"]["metric"]
    figures = baseline.best(pl.read_parquet(current().train), rows).figures
    return {f"{metric}_of_{name}": figure for name, figure in figures.items()}


def _hook_metrics(rows: pl.DataFrame, predicted: np.ndarray) -> dict[str, float]:
    metrics_of = hooks.load("report_metrics")
    if metrics_of is None:
        return {}
    metrics = metrics_of(rows, predicted)
    if not isinstance(metrics, dict):
        raise hooks.HookError(f"report_metrics: got {type(metrics).__name__}; expected a dict.")
    try:
        return {str(name): float(value) for name, value in metrics.items()}
    except (TypeError, ValueError) as error:
        raise hooks.HookError(f"report_metrics: a figure must be a number: {error}.") from error


def _hook_plots(model: Any, rows: pl.DataFrame, predicted: np.ndarray) -> list[Plot]:
    plots_of = hooks.load("report_plots")
    hook_plots = [] if plots_of is None else list(plots_of(model, rows, predicted))
    for plot in hook_plots:
        if not isinstance(plot, Plot):
            raise hooks.HookError(
                f"report_plots: got {type(plot).__name__}; expected rung_ops.training.evaluate.Plot."
            )
    return hook_plots


def _lead(model: Any, rows: pl.DataFrame) -> str:
    last = getattr(model, "steps", [("", model)])[-1][1]
    sentence = f"{type(last).__name__} predicts {contract.TARGET}; tested on {rows.height:,} rows"
    if contract.TIME is None:
        return f"{sentence} that were held out."
    days = rows[contract.TIME].dt.strftime("%Y-%m-%d")
    sentence += f" from {days.min()!s} to {days.max()!s}, after the training rows."
    return f"{sentence} A forecast, {made}." if (made := forecast.declared()) else sentence
