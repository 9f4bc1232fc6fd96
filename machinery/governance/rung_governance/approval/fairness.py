"""Stage: compare the model's figures between the groups under [fairness.groups] in params.toml.

A group is a value of a column, or a range of its numbers. Of several classes each is compared with
all others.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise, product
from typing import Any

import fairlearn.metrics
import numpy as np
import polars as pl
from sklearn.metrics import mean_absolute_error

from rung_ops import contract
from rung_ops.errors import SettingsError
from rung_ops.model.target import MULTICLASS, QUANTILE, inside
from rung_ops.project import current
from rung_ops.project.parameters import FairnessSettings
from rung_ops.project.paths import made, parameters, params, shown
from rung_ops.settings import converted
from rung_ops.statistics.intervals import wilson_interval
from rung_ops.system.printable import counted, printable
from rung_ops.training import estimator, judged_rows

MAX_GROUPS = 20


WHERE = "params.toml, [fairness.groups]:"


def groups(column: pl.Series, cuts: list[float]) -> np.ndarray:
    """Return the name of each row's group, shape (n_rows,); numbers are cut at upper ends of ranges.

    Raises:
        SettingsError: the column gives no groups.
    """
    if cuts and not column.dtype.is_numeric():
        raise SettingsError(f"{WHERE} `{column.name}` is not numeric and cannot be cut: write [].")
    if cuts:
        cuts = sorted(cuts)
        between = [f"above {low:g} up to {high:g}" for low, high in pairwise(cuts)]
        names = [f"up to {cuts[0]:g}", *between, f"above {cuts[-1]:g}"]
        ranges = np.searchsorted(cuts, column.fill_null(0).to_numpy())
        named = pl.Series(column.name, [names[index] for index in ranges])
        return named.set(column.is_null(), "missing").to_numpy()
    if column.n_unique() > MAX_GROUPS:
        raise SettingsError(
            f"{WHERE} `{column.name}` has {column.n_unique()} values; expected at most {MAX_GROUPS}: "
            "list the numbers to cut it at, or derive a coarser column."
        )
    return column.cast(pl.String).fill_null("missing").to_numpy()


COUNTS = ("rows", "positives")


def true_positive_rate(truth: np.ndarray, chosen: np.ndarray) -> float:
    """Return the share of positives that were predicted as positive; NaN without positives."""
    rate = fairlearn.metrics.true_positive_rate(truth, chosen, pos_label=1)
    return float(rate) if np.any(truth == 1) else math.nan


def false_positive_rate(truth: np.ndarray, chosen: np.ndarray) -> float:
    """Return the share of negatives that were predicted as positive; NaN without negatives."""
    rate = fairlearn.metrics.false_positive_rate(truth, chosen, pos_label=1)
    return float(rate) if np.any(truth == 0) else math.nan


def mean_error(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Return the mean of predicted minus actual: positive if a group is overestimated."""
    return float(np.mean(predicted - truth))


def positives(truth: np.ndarray, chosen: np.ndarray) -> int:
    """Return the number of positives, which the true positive rate is computed from."""
    return int(np.sum(truth == 1))


CLASSIFICATION = {
    "rows": fairlearn.metrics.count,
    "positives": positives,
    "selection_rate": fairlearn.metrics.selection_rate,
    "true_positive_rate": true_positive_rate,
    "false_positive_rate": false_positive_rate,
}
RATES = tuple(name for name in CLASSIFICATION if name not in COUNTS)
REGRESSION = {
    "rows": fairlearn.metrics.count,
    "mean_error": mean_error,
    "mean_absolute_error": mean_absolute_error,
}


def compare(
    truth: np.ndarray,
    predicted: np.ndarray,
    group: np.ndarray,
    smallest: int,
    metrics: dict[str, Any],
) -> tuple[dict[str, Any], list[str]]:
    """Compare the groups of one column by `metrics`; return figures, their differences, and notes."""
    frame = fairlearn.metrics.MetricFrame(
        metrics=metrics, y_true=truth, y_pred=predicted, sensitive_features=group
    )
    values: dict[str, dict[str, Any]] = {
        str(name): {
            figure: int(value) if figure in COUNTS else rounded(value)
            for figure, value in row.items()
        }
        for name, row in frame.by_group.iterrows()
    }
    compared = {name: row for name, row in values.items() if row["rows"] >= smallest}
    notes = [note for name, row in values.items() for note in _notes(name, row, smallest)]
    differences = {
        figure: _difference(figure, [row[figure] for row in compared.values()], notes)
        for figure in metrics
        if figure not in COUNTS
    }
    return {"values": values, "differences": differences}, notes


def _difference(figure: str, rates: list[float | None], notes: list[str]) -> float | None:
    """Return the largest difference of rates; None of fewer than two, which is noted."""
    defined = [rate for rate in rates if rate is not None]
    if len(defined) > 1:
        return rounded(max(defined) - min(defined))
    notes.append(f"{figure}: fewer than two groups can be compared")
    return None


def _notes(name: str, row: dict[str, Any], smallest: int) -> Iterator[str]:
    for figure in [figure for figure, value in row.items() if value is None]:
        yield f"{name}: {figure} is undefined, because no row counts for it"
    if row["rows"] < smallest:
        yield f"{name}: {counted(row['rows'], 'row')}, fewer than {smallest}: left out of the differences"
    elif 0 < row.get("positives", smallest) < smallest:
        yield f"{name}: true_positive_rate is computed from {counted(row['positives'], 'row')}"
    elif 0 < row["rows"] - row.get("positives", 0) < smallest:
        negatives = row["rows"] - row["positives"]
        yield f"{name}: false_positive_rate is computed from {counted(negatives, 'row')}"


def compare_intervals(
    truth: np.ndarray, predicted: np.ndarray, group: np.ndarray, smallest: int
) -> tuple[dict[str, Any], list[str]]:
    """Compare groups by the errors of the median, and the share and width of the interval."""
    held, median = inside(truth, predicted), predicted[:, 1]
    width = predicted[:, 2] - predicted[:, 0]

    def of_median(figure: Callable[[np.ndarray, np.ndarray], float]) -> Callable[..., float]:
        # fairlearn takes one number a row: that of the row.
        return lambda truth, rows: float(figure(np.asarray(truth), median[np.asarray(rows)]))

    metrics = {
        **REGRESSION,
        **{name: of_median(figure) for name, figure in REGRESSION.items() if name not in COUNTS},
        "interval_coverage": lambda _, rows: float(held[np.asarray(rows)].mean()),
        "interval_width": lambda _, rows: float(width[np.asarray(rows)].mean()),
    }
    return compare(truth, np.arange(len(truth)), group, smallest, metrics)


def few_rows(values: Mapping[str, Any], smallest: int) -> dict[str, int]:
    """Name the groups, and of classes single rates, that too few rows leave out of the differences."""
    found: dict[str, int] = {}
    for group, figures in values.items():
        by_class = {name: each for name, each in figures.items() if isinstance(each, Mapping)}
        rows = next(iter(by_class.values()))["rows"] if by_class else figures["rows"]
        if rows < smallest:
            found[group] = rows
            continue
        for name, of_class in by_class.items():
            for figure in RATES:
                if (behind := _rows_behind(of_class, figure)) < smallest:
                    found[f"{group}, {figure} of {name}"] = behind
    return found


def not_measured(compared: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Name the figures without a difference, with the rows behind them in each group."""
    found = {}
    for name, difference in compared["differences"].items():
        of_class = isinstance(difference, Mapping)
        for figure, known in difference.items() if of_class else [(name, difference)]:
            if known is None:
                found[f"{figure} of {name}" if of_class else figure] = {
                    group: _rows_behind(figures[name] if of_class else figures, figure)
                    for group, figures in compared["values"].items()
                }
    return found


def _rows_behind(figures: Mapping[str, Any], figure: str) -> int:
    """Return how many rows of a group a figure is computed from."""
    rows: int = figures["rows"]
    positives: int = figures.get("positives", rows)
    return {"true_positive_rate": positives, "false_positive_rate": rows - positives}.get(
        figure, rows
    )


def rounded(value: float) -> float | None:
    """Return a figure as a report has it; None for NaN."""
    return None if math.isnan(value) else round(float(value), 4)


DEVIATIONS = 1.96  # of the intervals: they hold the true rate 19 times in 20


def compare_classes(
    truth: np.ndarray, predicted: np.ndarray, group: np.ndarray, smallest: int, names: Sequence[str]
) -> tuple[dict[str, Any], list[str]]:
    """Compare groups where rows have one of several classes, each against all others."""
    values: dict[str, dict[str, Any]] = {}
    for code, name in enumerate(names):
        actual, chosen = truth == code, predicted == code
        truths, choices = actual.astype(int), chosen.astype(int)
        of_class, _ = compare(truths, choices, group, smallest, CLASSIFICATION)
        for each, figures in of_class["values"].items():
            rows = group == each
            ends = _intervals(figures, actual[rows], chosen[rows])
            values.setdefault(each, {})[name] = {key: figures[key] for key in COUNTS} | dict(ends)
    few = few_rows(values, smallest)
    notes = [
        f"{what}: {counted(rows, 'row')}, fewer than {smallest}: left out of the differences"
        for what, rows in few.items()
    ]
    differences: dict[str, dict[str, float | None]] = {name: {} for name in names}
    for name, figure in product(names, RATES):
        what = f"{figure} of {name}"
        rates = [
            of_group[name][figure]
            for each, of_group in values.items()
            if each not in few and f"{each}, {what}" not in few
        ]
        differences[name][figure] = _difference(what, rates, notes)
    return {"values": values, "differences": differences}, notes


def _intervals(
    figures: Mapping[str, Any], actual: np.ndarray, chosen: np.ndarray
) -> Iterator[tuple[str, float | None]]:
    """Yield each rate and the ends of its interval, which is not known without rows."""
    for figure, events in zip(RATES, (chosen, chosen[actual], chosen[~actual]), strict=True):
        low = high = math.nan
        if len(events):
            low, high = wilson_interval(int(events.sum()), len(events), DEVIATIONS)
        yield figure, figures[figure]
        yield f"{figure}_low", rounded(low)
        yield f"{figure}_high", rounded(high)


def assess(rows: pl.DataFrame, settings: dict[str, Any]) -> dict[str, Any]:
    """Compare the groups of params.toml on test rows with a column `predicted`; return the report."""
    truth, predicted = estimator.truth(rows), rows["predicted"].to_numpy()
    chosen = converted(settings.get("fairness", {}), FairnessSettings, "params.toml: [fairness]")
    smallest = chosen.smallest_group
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
        threshold = chosen.threshold
        predicted = (predicted >= threshold).astype(int)
        compared_by = partial(compare, metrics=CLASSIFICATION)
        positive = settings.get("report", {}).get("positive", "positive")
        report |= {"task": "classification", "positive": positive, "threshold": threshold}
    report |= {"smallest_group": smallest, "groups": {}, "too_small": {}, "not_measured": {}}
    report["notes"] = []
    named = chosen.groups
    for column, cuts in named.items():
        if column not in rows.columns:
            raise SettingsError(f"{WHERE} `{column}` is not a column of Row.")
        of_column = groups(rows[column], cuts)
        compared, notes = compared_by(truth, predicted, of_column, smallest)
        report["groups"][column] = compared
        report["notes"] += [f"{column}, {note}" for note in notes]
        if few := few_rows(compared["values"], smallest):
            report["too_small"][column] = few
        if unknown := not_measured(compared):
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
    named = parameters().fairness.groups
    rows = judged_rows.read(made(current().predictions), *named, slices=False)
    report = assess(rows, params())
    written = current().reports / "fairness.json"
    written.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    table(report).write_csv(written.with_suffix(".csv"))
    for column, compared in report["groups"].items():
        for figure, value in _named(compared["differences"]):
            differs = "?" if value is None else f"{value:.3f}"
            print(f"{column}: {printable(figure)} differs by {differs}")
    for note in report["notes"]:
        print(f"note: {printable(note)}")
    print(f"Wrote {shown(written)}.")
    return 0
