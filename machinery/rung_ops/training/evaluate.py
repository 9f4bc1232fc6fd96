"""Write the results of the evaluation: figures, plots and an HTML report (its layout is in evaluate.html)."""

import json
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from matplotlib.axes import Axes

from rung_ops import contract
from rung_ops.contract import forecast, row_checks
from rung_ops.data import blocks, dvc, pipeline_graph
from rung_ops.errors import StageError
from rung_ops.model.added_columns import PREDICTED
from rung_ops.model.columns import rule_words
from rung_ops.model.target import inside, numbers
from rung_ops.project import current, hooks
from rung_ops.project.paths import params, project_description, project_name, shown
from rung_ops.statistics import jackknife
from rung_ops.statistics.intervals import finite
from rung_ops.system import html
from rung_ops.system.files import md5
from rung_ops.system.printable import in_column
from rung_ops.training import (
    baseline,
    estimator,
    evaluation_page,
    judged_rows,
    model_card,
    plots,
    refit,
)
from rung_ops.training.baseline import Baseline
from rung_ops.training.slice_scores import LEVEL, half_widths, score_by_slice, with_intervals

LAYOUT = Path(__file__).with_suffix(".html")


MAX_VALUES = 25  # slices with more values are only in the table: a plot would be unreadable
MOST_VALUES = 40  # rows of a plot's table that the page has room for


class Plot(NamedTuple):
    """A plot of the report.

    Attributes:
        name: file name of its table, without suffix.
        what: what it shows, for readers who cannot see it.
        table: the data that it shows.
        draw: draws the table on axes.
        height: in inches; the plot is 5.2 wide.
    """

    name: str
    what: str
    table: pl.DataFrame
    draw: Callable[[Axes, pl.DataFrame], None]
    height: float = plots.HEIGHT


class Figure(NamedTuple):
    """A figure of the report; half_width and baseline as half_widths() and score() have them, or None."""

    name: str
    value: float
    half_width: float | None
    baseline: float | None


def all_plots(
    model: Any, rows: pl.DataFrame, predicted: np.ndarray, some: pl.DataFrame
) -> Iterator[Plot]:
    """Yield the standard plots of a classifier, of two classes or several, or of a regressor.

    `some` of the rows have all columns, for the importance of features.
    """
    actual, kind = estimator.truth(rows), estimator.kind()
    if names := estimator.classes():
        table = plots.confusion(actual, predicted, names)
        yield Plot("confusion", "Confusion matrix", table, plots.draw_confusion)
        table = plots.by_class(actual, predicted, names)
        what = "Precision and recall by class"
        yield Plot(model_card.BY_CLASS, what, table, plots.draw_by_class)
        table = plots.calibration_by_class(actual, predicted, names)
        draw, height = plots.draw_calibration_by_class, plots.calibration_height(len(names))
        yield Plot("calibration", "Calibration by class", table, draw, height)
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
    weights = plots.importances(model, some)
    yield Plot("importances", "Feature importance", weights, plots.draw_importances)


def _slice_plots(
    slices: pl.DataFrame, rows: pl.DataFrame, predicted: np.ndarray, metrics: dict[str, float]
) -> Iterator[Plot]:
    """Yield a plot of each column whose slices have the metric, on one axis."""
    metric = params()["score"]["metric"]
    if metric not in slices.columns:
        return
    scored = slices.drop_nulls(metric).filter(pl.len().over("column").is_between(2, MAX_VALUES))
    if scored.is_empty():
        return
    scored = with_intervals(scored, rows, predicted, metric)
    draw = plots.draw_by_slice(scored, metrics.get(metric, math.nan))
    for (column,), table in scored.group_by("column", maintain_order=True):
        what = f"{metric} by {column}"
        yield Plot(f"by_{column}", what, table, draw, max(2.2, 1.2 + 0.26 * table.height))


def _figures(
    rows: pl.DataFrame, predicted: np.ndarray, metrics: dict[str, float], simple: Baseline | None
) -> list[Figure]:
    """Put the interval and the baseline's figure beside each figure."""
    by_baseline = (
        {} if simple is None else contract.score(estimator.truth(rows), simple.predictions)
    )
    halves = half_widths(rows, predicted, list(metrics)).tolist()
    return [
        Figure(name, value, finite(half), finite(by_baseline.get(name)))
        for (name, value), half in zip(metrics.items(), halves, strict=True)
    ]


def _columns(rows: pl.LazyFrame) -> Iterator[dict[str, Any]]:
    """Describe the columns of Row: their type, their rules in words, the share of missing values."""
    names = list(contract.Row.to_schema().columns)
    counts = rows.select(pl.len().alias(blocks.NUMBER), pl.col(names).null_count()).collect()
    number, *missing = counts.row(0)
    of_columns = dict(zip(names, missing, strict=True))
    for name, column in contract.Row.to_schema().columns.items():
        rules, others = row_checks.rules(column)
        words = [rule_words(rule, limit) for rule, limit in rules.items()]
        yield {
            "name": name,
            "type": str(column.dtype.type).partition("(")[0],
            "rules": ", ".join([*words, *others, *["may be missing"] * column.nullable]),
            "missing": of_columns[name] / max(number, 1),
        }


def write_report(
    model: Any, rows: pl.DataFrame, predicted: np.ndarray, metrics: dict[str, float]
) -> None:
    """Write figures, plots and reports/report.html, and print the figures.

    Includes the plots of the hook `report_plots` and the figures of the hook `report_metrics`. Of
    quantiles: how many rows the interval holds, how wide it is, and in how many rows they crossed. Of
    a forecast: the figures of its baselines. Of narrow rows of predict_rows(), hooks and the
    importance of features get a sample with all columns, which the report says.

    Args:
        model: from load_model().
        rows: held-out rows of Row, shape (n_rows, n_columns); or from predict_rows().
        predicted: from predict() or predict_rows().
        metrics: the figures of score().

    Raises:
        StageError: a hook cannot be loaded, or returns a wrong type.
        StageError: narrow rows or their predictions are not those of predict_rows().
    """
    trained = current().train.is_file()
    train = judged_rows.read(current().train, slices=False) if trained else None
    some, their_predictions = judged_rows.sample(rows, predicted)
    is_sample = some is not rows
    all_columns = rows.lazy()
    if is_sample:
        all_columns = blocks.scan(current().predictions).drop(PREDICTED)
    # The stages before need not have written their rows.
    has_history = forecast.declared() is None or current().rows.is_file()
    simple = baseline.best(train, rows) if train is not None and has_history else None
    score = params()["score"]
    metrics = metrics | _interval_metrics(model, rows, predicted, all_columns)
    for name, figure in (simple.figures if simple else {}).items():
        metrics[f"{score['metric']}_of_{name}"] = figure
    metrics |= _hook_metrics(some, their_predictions)
    slices = score_by_slice(rows, predicted)
    shutil.rmtree(current().plots, ignore_errors=True)
    current().plots.mkdir(parents=True)
    current().metrics.unlink(missing_ok=True)  # of earlier predictions
    if not is_sample:
        rows.with_columns(predicted=predicted).write_parquet(current().predictions)
    current().metrics.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    drawn = {
        "slices": list(_slice_plots(slices, rows, predicted, metrics)),
        "plots": list(all_plots(model, rows, predicted, some)),
    }
    if train is not None and contract.TIME is not None:
        table = plots.rows_by_month(train[contract.TIME], rows[contract.TIME])
        what = "Rows by month: learned from, and judging"
        drawn["plots"].append(Plot("rows_by_month", what, table, plots.draw_rows_by_month))
    drawn["plots"] += _hook_plots(model, some, their_predictions)
    for plot in (*drawn["slices"], *drawn["plots"]):
        plot.table.write_csv(current().plots / f"{plot.name}.csv")
    figures = _figures(rows, predicted, metrics, simple)
    page = html.render(
        LAYOUT,
        title=project_name(),
        description=project_description(),
        lead=_lead(model, rows, train),
        metric=score["metric"],
        higher=score["higher_is_better"],
        figures=figures,
        unvaried=[figure.name for figure in figures if figure.half_width == 0],
        unseen=jackknife.unseen_share(rows.height),
        baseline=baseline.in_words(simple.name) if simple else "",
        level=LEVEL,
        drawn={part: [_drawn(plot) for plot in each] for part, each in drawn.items()},
        slices=slices.to_dicts(),
        columns=list(_columns(all_columns)),
        sampled=some.height if is_sample else 0,
        graph=pipeline_graph.draw(upto=shown(evaluation_page.kept())),
        files=[
            (shown(path), md5(path))  # the hash that DVC has of them
            for path in (current().train, current().test)
            if path.is_file()
        ],
    )
    evaluation_page.kept().write_text(page, encoding="utf-8")
    if shown(current().report) not in dvc.stage_outputs(current().root):
        current().report.write_text(
            evaluation_page.stamped(page, evaluation_page.unversioned()), encoding="utf-8"
        )
    for name, value in metrics.items():
        print(f"{name:>20} {in_column(value, 4)}")
    print(f"Open {shown(current().report)} in a browser.")


def _drawn(plot: Plot) -> dict[str, Any]:
    """Draw a plot, with its values as a table where there are few."""
    table = plot.table.rows(named=True) if plot.table.height <= MOST_VALUES else []
    return {
        "what": plot.what,
        "svg": plots.svg(plot.draw, plot.table, plot.height, what=plot.what),
        "values": table,
        "file": f"plots/{plot.name}.csv",
    }


def _interval_metrics(
    model: Any, rows: pl.DataFrame, predicted: np.ndarray, all_columns: pl.LazyFrame
) -> dict[str, float]:
    if not estimator.kind().quantiles:
        return {}
    return {
        "interval_coverage": float(inside(estimator.truth(rows), predicted).mean()),
        "interval_width": float((predicted[:, 2] - predicted[:, 0]).mean()),
        "quantiles_crossed": estimator.crossed(model, all_columns),
    }


def _hook_metrics(rows: pl.DataFrame, predicted: np.ndarray) -> dict[str, float]:
    metrics_of = hooks.load("report_metrics")
    if metrics_of is None:
        return {}
    metrics = metrics_of(rows, predicted)
    if not isinstance(metrics, dict):
        raise StageError(f"report_metrics: got {type(metrics).__name__}; expected a dict.")
    try:
        return {str(name): float(value) for name, value in metrics.items()}
    except (TypeError, ValueError) as error:
        raise StageError(f"report_metrics: a figure must be a number: {error}.") from error


def _hook_plots(model: Any, rows: pl.DataFrame, predicted: np.ndarray) -> list[Plot]:
    plots_of = hooks.load("report_plots")
    hook_plots = [] if plots_of is None else list(plots_of(model, rows, predicted))
    for plot in hook_plots:
        if not isinstance(plot, Plot):
            raise StageError(
                f"report_plots: got {type(plot).__name__}; expected rung_ops.training.evaluate.Plot."
            )
    return hook_plots


def _lead(model: Any, rows: pl.DataFrame, train: pl.DataFrame | None) -> str:
    """Say what predicts what, what it was tested on, and what it was trained on, if that is known."""
    last = getattr(model, "steps", [("", model)])[-1][1]
    sentence = f"{type(last).__name__} predicts {contract.TARGET}; tested on {rows.height:,} rows"
    if contract.TIME is None:
        sentence += " that were held out."
    else:
        time = pl.col(contract.TIME)
        ends = rows.select(time.min().alias("first"), time.max().alias("last"))
        first, last = ends.select(pl.all().dt.strftime("%Y-%m-%d")).row(0)
        sentence += f" from {first} to {last}, after the training rows."
        if made := forecast.declared():
            sentence += f" A forecast, {made}."
    if train is None:
        return sentence
    return f"{sentence} {refit.sentence(refit.used_rows(train, rows), current().reports)}"
