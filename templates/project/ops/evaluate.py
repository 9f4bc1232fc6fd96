"""Stage: judge the model on the test rows: figures, plots, and a report to look at.

Rung keeps this file; change it through src/ and params.toml.
"""

import json
import shutil
import sys
from collections.abc import Iterator

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from sklearn.base import is_classifier

from ops import contract, estimator, figures, plots
from ops.report import page
from ops.settings import METRICS, MODEL, PLOTS, PREDICTIONS, REPORT, TEST, params, project_name, shown
from ops.slices import score_by_slice

Plot = tuple[str, str, pl.DataFrame]  # file name, what it shows, the table it is drawn from


def draw_all(model: object, rows: pl.DataFrame, predicted: np.ndarray, slices: pl.DataFrame
) -> Iterator[tuple[str, str, pl.DataFrame, str]]:
    """Yield each plot: the name of its table, what it shows, the table, the SVG."""
    actual = estimator.truth(rows)
    if is_classifier(model):
        curves = [figures.roc, figures.precision_recall, figures.calibration]
        for make in curves:
            table = make(actual, predicted)
            draw = getattr(plots, make.__name__)
            yield make.__name__, make.__doc__ or "", table, plots.svg(draw, table)
    else:
        table = figures.residuals(actual, predicted)
        yield "residuals", "Residuals against predictions", table, plots.svg(plots.residuals, table)


def main() -> int:
    return 0
