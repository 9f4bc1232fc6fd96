"""Stage: compare the model's figures between the groups under [fairness.groups] in params.toml."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from rung_ops import contract
from rung_ops.model.target import MULTICLASS, QUANTILE
from rung_ops.project import current
from rung_ops.project.paths import made, params, shown
from rung_ops.system.printable import printable
from rung_ops.training import estimator
from rung_ops.training.class_rates import compare_classes
from rung_ops.training.group_rates import (
    CLASSIFICATION,
    COUNTS,
    RATES,
    REGRESSION,
    compare,
    compare_intervals,
    few_rows,
    not_measured,
)
from rung_ops.training.groups import UnknownGroupError, groups


def fairness_file() -> Path:
    """Return the path of the comparison of groups."""
    return current().reports / "fairness.json"


def table_file() -> Path:
    """Return the path of the table of groups."""
    return current().reports / "fairness.csv"


# Defaults of [fairness] in params.toml.
THRESHOLD = 0.5  # threshold: probabilities from here on count as positive
SMALLEST_GROUP = 30  # smallest_group: rates of fewer rows are mostly chance


def assess(rows: pl.DataFrame, settings: dict[str, Any]) -> dict[str, Any]:
    """Compare the groups of the settings.

    Args:
        rows: test rows with a column `predicted`, shape (n_rows, n_columns + 1).
        settings: content of params.toml.

    Returns:
        The content of reports/fairness.json. `too_small` has the rows of each group that is left
        out of the differences, by column; `not_measured` the figures without a difference, with the
        rows behind them in each group. Of several classes figures and differences are by class,
        and single rates may be too small: a row is answered with its most probable class, so there
        is no threshold.

    Raises:
        UnknownGroupError: a column is missing or does not give groups.
    """
    truth, predicted = estimator.truth(rows), rows["predicted"].to_numpy()
    chosen = settings.get("fairness", {})
    smallest = chosen.get("smallest_group", SMALLEST_GROUP)
    report: dict[str, Any] = {"task": "regression", "target": contract.TARGET}
    compared_by: Callable[..., Any] = partial(compare, metrics=REGRESSION)
    kind = estimator.kind()
    if names := list(kind.classes):
        predicted = predicted.argmax(axis=1)
        compared_by = partial(compare_classes, names=names)
        report |= {"task": MULTICLASS, "classes": names}
    elif kind.quantiles:
        compared_by = compare_intervals
        report |= {"task": QUANTILE, "level": kind.level}
    elif set(np.unique(truth)) <= {0, 1}:
        threshold = chosen.get("threshold", THRESHOLD)
        predicted = (predicted >= threshold).astype(int)
        compared_by = partial(compare, metrics=CLASSIFICATION)
        positive = settings.get("report", {}).get("positive", "positive")
        report |= {"task": "classification", "positive": positive, "threshold": threshold}
    report |= {"smallest_group": smallest, "groups": {}, "too_small": {}, "not_measured": {}}
    report["notes"] = []
    named = chosen.get("groups", {})
    for column, cuts in named.items():
        if column not in rows.columns:
            raise UnknownGroupError(f"`{column}` is not a column of Row")
        of_column = groups(rows[column], cuts)
        report["groups"][column], notes = compared_by(truth, predicted, of_column, smallest)
        report["notes"] += [f"{column}, {note}" for note in notes]
        if few := few_rows(report["groups"][column]["values"], smallest):
            report["too_small"][column] = few
        if unknown := not_measured(report["groups"][column]):
            report["not_measured"][column] = unknown
    if not named:
        report["notes"] = ["No groups are named under [fairness.groups] in params.toml."]
    return report


def table(report: dict[str, Any]) -> pl.DataFrame:
    """Return the figures of all groups as a long table, for plots and to compare runs."""
    lines = [
        (figure, f"{column} {name}", value, f"{figure}, {column} {name}")
        for column, compared in report["groups"].items()
        for name, figures in compared["values"].items()
        for figure, value in _named(figures)
    ]
    kinds = {"figure": pl.String, "group": pl.String, "value": pl.Float64, "label": pl.String}
    return pl.DataFrame(sorted(lines, key=lambda line: line[:2]), schema=kinds, orient="row")


def _named(figures: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    """Name the figures of a group, or its differences; of several classes each says whose it is."""
    for name, value in figures.items():
        if isinstance(value, Mapping):
            yield from ((f"{figure} of {name}", value[figure]) for figure in RATES)
        elif name not in COUNTS:
            yield name, value


def main() -> int:
    """Write reports/fairness.json and its table; return the exit code."""
    try:
        report = assess(pl.read_parquet(made(current().predictions)), params())
    except UnknownGroupError as error:
        print(f"params.toml, [fairness.groups]: {error}.", file=sys.stderr)
        return 1
    fairness_file().write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    table(report).write_csv(table_file())
    for column, compared in report["groups"].items():
        for figure, value in _named(compared["differences"]):
            differs = "?" if value is None else f"{value:.3f}"
            print(f"{column}: {printable(figure)} differs by {differs}")
    for note in report["notes"]:
        print(f"note: {printable(note)}")
    print(f"Wrote {shown(fairness_file())}.")
    return 0
