"""The plots of the report: the table of each, also written as CSV to compare runs, and its drawing as SVG."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from io import StringIO
from itertools import islice
from statistics import NormalDist
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import polars as pl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import PathCollection
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.dates import AutoDateFormatter, num2date
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.ticker import LogFormatter, ScalarFormatter
from sklearn.metrics import (
    confusion_matrix,
    precision_recall_curve,
    precision_recall_fscore_support,
    roc_curve,
)

from rung_ops import contract
from rung_ops.model.target import inside
from rung_ops.project.paths import params
from rung_ops.statistics import jackknife
from rung_ops.statistics.intervals import finite, wilson_interval
from rung_ops.system.printable import counted, four_digits, printable
from rung_ops.training import estimator
from rung_ops.training.judged_rows import slice_columns
from rung_ops.training.slice_scores import LEVEL, MIN_ROWS, sort_key

# On each mark lies an invisible shape with its value as title, which plot_values.html shows. They are
# read from what was drawn, so plots of hooks have them, too; what cannot be read has none.
MOST = 100  # marks of a curve: more would lie on each other
MOST_OF_ALL = 2_500  # marks of a plot: more are not readable, and the page would take megabytes
RADIUS = 5  # of a point's shape, in pixels
COMPARISON = "--"  # the style of lines that the marks are compared with, such as chance
SHAPE = Markup(
    '<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>'
)


# Two opposite corners in the units of the axes, and the values in words.
Mark = tuple[Any, str]


def outlines(axes: Axes) -> Markup:
    """Return the shapes on the marks as SVG, of a figure that was drawn at 72 dots per inch."""
    try:
        found = list(islice(marks(axes), MOST_OF_ALL + 1))
    except Exception:  # a hook may draw anything, and the formatter of its axis may raise anything
        found = []
    if len(found) > MOST_OF_ALL:
        return Markup("")
    shapes = []
    for corners, values in found:
        ends: Any = axes.transData.transform(corners)
        least, most = np.array(axes.bbox.min), np.array(axes.bbox.max)
        in_view = (ends.max(axis=0) > least - RADIUS) & (ends.min(axis=0) < most + RADIUS)
        if not in_view.all():  # nor is what is no number
            continue
        # A bar on a scale of logarithms begins far below it.
        ends = np.clip(ends, least, most) * (1, -1) + (0, axes.figure.bbox.height)
        middle, half = ends.mean(axis=0), np.maximum(np.ptp(ends, axis=0) / 2, RADIUS)
        top = 0 if _has_numbers(axes.yaxis) else middle[1]  # categories are read from the top
        shapes.append((top, SHAPE.format(*(middle - half), *(2 * half), values)))
    shapes.sort(key=lambda each: each[0])
    lines = Markup("\n").join(shape for _, shape in shapes)
    return Markup('<g fill="none" pointer-events="all">\n{}\n</g>').format(lines)


def marks(axes: Axes) -> Iterator[Mark]:
    """Yield the points, the bars and the cells of a plot."""
    intervals = [each for each in axes.containers if isinstance(each, ErrorbarContainer)]
    errors = {each[0]: each for each in intervals}
    caps = {cap for each in intervals for cap in each[1]}
    for line in axes.lines:
        if line in caps or line.get_linestyle() == COMPARISON:
            continue
        if line.get_transform() == axes.transData:  # that of axhline() is another
            yield from _points(axes, line, line.get_xydata(), errors.get(line))
    for points in axes.collections:
        is_scatter = isinstance(points, PathCollection)
        if is_scatter and points.get_offset_transform() == axes.transData:
            yield from _points(axes, points, points.get_offsets(), None)
    for bars in axes.containers:
        if isinstance(bars, BarContainer):
            yield from _bars(axes, bars)
    for image in axes.images:
        yield from _cells(axes, image)


def _cells(axes: Axes, image: AxesImage) -> Iterator[Mark]:
    values: Any = np.ma.filled(np.ma.asarray(image.get_array(), dtype=float), np.nan)
    rows, columns = values.shape[:2]
    # Of colours, which have three dimensions, and of places on other scales there are no cells.
    if values.ndim != 2 or {*image.get_extent()} != {-0.5, rows - 0.5, columns - 0.5}:
        return
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            names = [(axes.yaxis, row), (axes.xaxis, column)]
            words = [f"{axis.get_label_text()} {_words(axis, at)}" for axis, at in names]
            words.append(_named(image, four_digits(value)))
            yield ((column - 0.5, row - 0.5), (column + 0.5, row + 0.5)), ", ".join(words)


def _points(axes: Axes, artist: Any, places: Any, error: Any) -> Iterator[Mark]:
    places, ranges = np.ma.filled(places, np.nan), _ranges(error, len(places))
    for at in np.unique(np.linspace(0, len(places) - 1, min(MOST, len(places))).astype(int)):
        x, y = places[at]
        if np.isfinite(places[at]).all():
            words = [_words(axes.xaxis, x), _words(axes.yaxis, y)]
            if not _has_numbers(axes.yaxis):
                words.reverse()
            yield ((x, y), (x, y)), _named(error or artist, ", ".join(words) + ranges[at])


def _bars(axes: Axes, bars: BarContainer) -> Iterator[Mark]:
    is_flat = bars.orientation == "horizontal"
    across, along = (axes.yaxis, axes.xaxis) if is_flat else (axes.xaxis, axes.yaxis)
    for bar, its_range in zip(bars, _ranges(bars.errorbar, len(bars)), strict=True):
        (left, low), (right, high) = corners = bar.get_bbox().get_points()
        if not np.isfinite(corners).all():
            continue
        size, ends = (right - left, (low, high)) if is_flat else (high - low, (left, right))
        place = sum(ends) / 2
        if _has_numbers(across):
            name = " to ".join(map(four_digits, ends))
        else:
            # Bars of several kinds lie to both sides of their category's place.
            name = _words(across, place if across.get_major_formatter()(place) else round(place))
        words = f"{name}, {_words(along, size)}{its_range}"
        yield corners, _named(bars, words)


def _ranges(error: ErrorbarContainer | None, marks: int) -> list[str]:
    """Write the ends of each mark's interval, where it has one along one axis."""
    if error is None or len(error.lines[2]) != 1:
        return [""] * marks
    segments = error.lines[2][0].get_segments()
    if len(segments) != marks:  # fewer by errorevery
        return [""] * marks
    along = 0 if error.has_xerr else 1
    return [
        f" ({four_digits(ends[0][along])} to {four_digits(ends[1][along])})"
        if len(ends) == 2
        else ""
        for ends in segments
    ]


def _named(artist: Any, values: Any) -> str:
    """Put the name that the legend has in front, if it has one."""
    label = str(artist.get_label())
    return values if label.startswith("_") else f"{label}: {values}"


def _has_numbers(axis: Axis) -> bool:
    return isinstance(axis.get_major_formatter(), ScalarFormatter | LogFormatter)


def _words(axis: Axis, value: float) -> str:
    """Write a value of an axis: a category or a time as it is, a number behind its name."""
    formatter = axis.get_major_formatter()
    if isinstance(formatter, AutoDateFormatter):
        return f"{num2date(value):%Y-%m-%d %H:%M}".removesuffix(" 00:00")
    if not _has_numbers(axis) and (text := formatter(value)):
        return str(text)
    return f"{axis.get_label_text().partition(',')[0]} {four_digits(value)}".strip()


matplotlib.use("Agg")  # works without a display, as in CI

POINTS = 200  # more points would not change the look of a curve
IMPORTANCE_ROWS = 8_000
IMPORTANCE_GROUPS = 10  # of the jackknife: each costs a score() of each feature
IMPORTANCES = 15  # features that are drawn, the most important ones
HEIGHT = 3.8  # of a plot, in inches
BINS = 10  # of a calibration
CALIBRATION: dict[str, Any] = {
    **dict.fromkeys(("predicted", "observed", "low", "high"), pl.Float64),
    "rows": pl.Int64,
}
PERIODS = 24  # parts of equal size, so that each mean rests on as many rows


def roc(truth: np.ndarray, predicted: np.ndarray) -> pl.DataFrame:
    """Compute the ROC curve: false and true positive rate, at most POINTS rows."""
    false_positive, true_positive, _ = roc_curve(truth, predicted)
    curve = {"false_positive_rate": false_positive, "true_positive_rate": true_positive}
    return _thinned(pl.DataFrame(curve))


def precision_recall(truth: np.ndarray, predicted: np.ndarray) -> pl.DataFrame:
    """Compute precision and recall by threshold, at most POINTS rows."""
    precision, recall, _ = precision_recall_curve(truth, predicted)
    return _thinned(pl.DataFrame({"recall": recall, "precision": precision}))


def calibration(truth: np.ndarray, predicted: np.ndarray) -> pl.DataFrame:
    """Compute mean predicted probability and observed share in BINS of equal size, fewer where many tie.

    Returns:
        By bin: predicted, observed, low and high (Wilson's interval of the share at LEVEL), rows.
    """
    inner = np.quantile(predicted, np.linspace(0, 1, BINS + 1)[1:-1])
    table = pl.DataFrame({"predicted": predicted, "truth": truth.astype(np.int64)})
    bins = (
        table.group_by(pl.Series("bin", np.searchsorted(inner, predicted)))
        .agg(pl.col("predicted").mean(), events=pl.col("truth").sum(), rows=pl.len())
        .sort("bin")
    )
    deviations = NormalDist().inv_cdf((1 + LEVEL) / 2)
    pairs = bins.select("events", "rows").iter_rows()
    ends = [wilson_interval(events, rows, deviations) for events, rows in pairs]
    low, high = zip(*ends, strict=True)
    return bins.select(
        "predicted",
        pl.Series("low", low),
        pl.Series("high", high),
        pl.col("rows").cast(pl.Int64),
        observed=pl.col("events") / pl.col("rows"),
    ).select(*CALIBRATION)


def residuals(truth: np.ndarray, predicted: np.ndarray) -> pl.DataFrame:
    """Compute predicted value and residual (actual minus predicted) of up to 2,000 rows."""
    chosen = np.linspace(0, len(truth) - 1, min(2_000, len(truth))).astype(int)
    table = {"predicted": predicted[chosen], "residual": truth[chosen] - predicted[chosen]}
    return pl.DataFrame(table)


def residuals_over_time(truth: np.ndarray, predicted: np.ndarray, time: pl.Series) -> pl.DataFrame:
    """Compute the mean residual (actual minus predicted), its p10 and p90, in PERIODS equal parts."""
    table = pl.DataFrame({"time": time, "residual": truth - predicted}).drop_nulls("time")
    part = pl.int_range(pl.len()) * PERIODS // pl.len()
    residual = pl.col("residual")
    return (
        table.sort("time", maintain_order=True)
        .group_by(part.alias("part"), maintain_order=True)
        .agg(
            pl.col("time").first(),
            rows=pl.len(),
            residual=residual.mean(),
            p10=residual.quantile(0.1),
            p90=residual.quantile(0.9),
        )
        .drop("part")
    )


def importances(model: Any, rows: pl.DataFrame) -> pl.DataFrame:
    """Compute each feature's importance: the loss of the metric when its values are shuffled among rows.

    Returns:
        feature, importance, low and high, the most important first. The interval of level LEVEL, by the
        jackknife of the paired loss, covers which rows were drawn and what each got by the shuffle; it
        does not cover another training. It is null below the IMPORTANCES that are drawn, where the
        rows are too few, and where the loss is the same whichever of them are left out.
    """
    settings = params()
    metric, sign = settings["score"]["metric"], 1 if settings["score"]["higher_is_better"] else -1
    rows = rows.sample(min(IMPORTANCE_ROWS, rows.height), seed=settings["seed"])
    actual, inputs = estimator.truth(rows), estimator.features(rows)
    unshuffled = estimator.predict_features(model, inputs)
    shuffled = {
        name: estimator.predict_features(
            model, inputs.with_columns(inputs[name].shuffle(seed=settings["seed"]))
        )
        for name in inputs.columns
    }

    def losses(names: Sequence[str], chosen: np.ndarray) -> np.ndarray:
        truth = actual[chosen]
        figures = [
            contract.score(truth, predicted[chosen])[metric]
            for predicted in (unshuffled, *(shuffled[name] for name in names))
        ]
        return sign * (figures[0] - np.array(figures[1:], dtype=float))

    everything = losses(inputs.columns, np.arange(rows.height))
    table = pl.DataFrame({"feature": inputs.columns, "importance": everything})
    table = table.sort("importance", "feature", descending=[True, False])
    top = table["feature"].head(IMPORTANCES).to_list()
    half = np.full(table.height, math.nan)
    with suppress(jackknife.NotComparableError):
        group = jackknife.groups_in_time(rows, settings["seed"], IMPORTANCE_GROUPS)
        half[: len(top)] = jackknife.half_widths(partial(losses, top), group, LEVEL)
    reach = pl.Series(half).replace(0, None).fill_nan(None)
    return table.with_columns(low=table["importance"] - reach, high=table["importance"] + reach)


def _thinned(curve: pl.DataFrame) -> pl.DataFrame:
    chosen = np.unique(np.linspace(0, curve.height - 1, min(POINTS, curve.height)).astype(int))
    return curve[chosen]


# The colours of frame.html where the page is light: svg() names them, so that they follow the page.
INK, BLUE, ORANGE, GREY = "#1d2733", "#0b62c4", "#a34a00", "#56616e"
NAMED = {INK: "var(--ink)", BLUE: "var(--blue)", ORANGE: "var(--orange)", GREY: "var(--soft)"}
STYLE: Any = {
    **{f"{part}.color": INK for part in ("text", "xtick", "ytick")},
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "svg.hashsalt": "rung",  # the same figures give the same bytes
    "svg.fonttype": "path",
    "text.parse_math": False,  # a category of "$5" is text
    "figure.dpi": 72,  # the units of an SVG, in which outlines() measures
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "figure.constrained_layout.use": True,
}


# A legend where marks may lie anywhere: above them it would hide some.
BESIDE_TITLE: Any = {
    "frameon": False,
    "loc": "lower right",
    "bbox_to_anchor": (1, 1),
    "borderaxespad": 0,
    "ncols": 2,
}
COMPARED: Any = {"color": GREY, "linestyle": COMPARISON, "linewidth": 1}


def _label(text: str, most: int = 24) -> str:
    """Write a category beside an axis: a long one would leave the plot no room."""
    text = printable(text)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def draw_roc(axes: Axes, table: pl.DataFrame) -> None:
    """Draw the ROC curve with the diagonal of a random model."""
    axes.plot([0, 1], [0, 1], **COMPARED, label="chance")
    axes.plot(table["false_positive_rate"], table["true_positive_rate"], color=BLUE, label="model")
    axes.set(title="ROC curve", xlabel="false positive rate", ylabel="true positive rate")
    axes.legend(frameon=False)


def draw_precision_recall(axes: Axes, table: pl.DataFrame) -> None:
    """Draw precision against recall."""
    share = table.sort("recall")["precision"][-1]  # where all rows are taken for positive
    axes.axhline(share, **COMPARED, label="chance")
    axes.plot(table["recall"], table["precision"], color=BLUE, label="model")
    axes.set(title="Precision and recall", xlabel="recall", ylabel="precision", ylim=(0, 1.02))
    axes.legend(frameon=False)


def draw_calibration(axes: Axes, table: pl.DataFrame) -> None:
    """Draw predicted probabilities against observed shares."""
    top = max(0.05, float(table.select("predicted", "high").to_numpy().max())) * 1.05
    (perfect,) = axes.plot([0, top], [0, top], **COMPARED, label="perfect")
    axes.set(title="Calibration", xlabel="predicted probability", ylabel="observed share")
    axes.legend(handles=[perfect, _draw_bins(axes, table, "model", BLUE)], frameon=False)


def _draw_bins(axes: Axes, table: pl.DataFrame, name: str, colour: str) -> Line2D:
    """Draw the bins of calibration() with their intervals; return what stands for them in a legend."""
    style: Any = {"color": colour, "marker": "o", "markersize": 4, "linestyle": ""}
    for row in table.iter_rows(named=True):  # a mark for each, as each has other rows
        share = row["observed"]
        ends = [[max(0, share - row["low"])], [max(0, row["high"] - share)]]
        label = f"{name}, {counted(row['rows'], 'row')}"
        axes.errorbar(row["predicted"], share, yerr=ends, label=label, elinewidth=1, **style)
    return Line2D([], [], label=name, **style)


def draw_residuals(axes: Axes, table: pl.DataFrame) -> None:
    """Draw residuals against predictions; a visible pattern is one that the model missed."""
    axes.axhline(0, **COMPARED)
    axes.scatter(table["predicted"], table["residual"], s=8, alpha=0.35, color=BLUE, linewidths=0)
    axes.set(title="Residuals", xlabel="predicted", ylabel="actual minus predicted")


def draw_residuals_over_time(axes: Axes, table: pl.DataFrame) -> None:
    """Draw the mean residual by time, and the middle four fifths; a drift is one to come."""
    axes.axhline(0, **COMPARED)
    axes.fill_between(table["time"], table["p10"], table["p90"], color=BLUE, alpha=0.2)
    axes.plot(table["time"], table["residual"], color=BLUE, marker="o", markersize=3)
    axes.tick_params(axis="x", rotation=45)
    title = "Residuals over time: the mean, and the middle 80% of the rows"
    axes.set(title=title, ylabel="actual minus predicted")


def draw_distribution(axes: Axes, table: pl.DataFrame) -> None:
    """Draw the distribution of the residuals."""
    axes.hist(table["residual"], bins=40, color=BLUE)
    axes.set(title="Distribution of residuals", xlabel="actual minus predicted", ylabel="rows")


def draw_importances(axes: Axes, table: pl.DataFrame) -> None:
    """Draw the most important features as dots with their intervals."""
    top = table.head(IMPORTANCES).reverse()
    places = np.arange(top.height)
    half = (top["high"] - top["importance"]).fill_null(math.nan).to_numpy()
    axes.axvline(0, **COMPARED)
    axes.errorbar(
        top["importance"], places, xerr=half, fmt="o", color=BLUE, ecolor=GREY, markersize=5
    )
    axes.set_yticks(places, [_label(name) for name in top["feature"]])
    metric = params()["score"]["metric"]
    axes.set(title="Feature importance", xlabel=f"loss of {metric} when shuffled")


def draw_by_slice(slices: pl.DataFrame, overall: float) -> Callable[[Axes, pl.DataFrame], None]:
    """Return a function that draws each slice's metric, worst first, on an axis for all slices."""
    score = params()["score"]
    metric = score["metric"]
    ends = [*slices["low"], *slices["high"], *slices[metric], overall]
    known = [end for end in ends if finite(end) is not None]
    least, most = min(known), max(known)
    margin = 0.05 * (most - least) or 0.05
    all_rows = "all rows" if finite(overall) is None else f"all rows {four_digits(overall)}"

    def draw(axes: Axes, table: pl.DataFrame) -> None:
        if table["column"][0] not in ("month", "horizon"):
            table = table.sort(
                metric, descending=not score["higher_is_better"], maintain_order=True
            )
        table = table.reverse()  # the first row is drawn at the top
        places, figures = np.arange(table.height), table[metric].to_numpy()
        half = (table["high"] - table[metric]).fill_null(math.nan).to_numpy()
        axes.axvline(overall, **COMPARED, label=all_rows)
        axes.errorbar(figures, places, xerr=half, fmt="o", color=BLUE, ecolor=GREY, markersize=5)
        names = zip(table["value"], table["rows"], strict=True)
        axes.set_yticks(places, [f"{_label(str(name))} ({rows:,})" for name, rows in names])
        axes.set(title=f"{metric} by {table['column'][0]}", xlabel=metric)
        axes.set(xlim=(least - margin, most + margin), ylim=(-0.6, table.height - 0.4))
        axes.legend(**BESIDE_TITLE)

    return draw


def rows_by_month(train: pl.Series, test: pl.Series) -> pl.DataFrame:
    """Count the rows of each month, without a gap, that the model learned from and is judged by."""
    counts = [
        times.drop_nulls().dt.date().dt.truncate("1mo").alias("month").value_counts(name=name)
        for times, name in ((train, "learned"), (test, "judged"))
    ]
    counted = counts[0].join(counts[1], on="month", how="full", coalesce=True).sort("month")
    return counted.upsample("month", every="1mo").with_columns(pl.exclude("month").fill_null(0))


def draw_rows_by_month(axes: Axes, table: pl.DataFrame) -> None:
    """Draw the split as a time line: the rows to learn from, and those that judge."""
    places = np.arange(table.height)
    axes.bar(places, table["learned"], color=GREY, width=0.9, label="learned from")
    axes.bar(places, table["judged"], bottom=table["learned"], color=BLUE, width=0.9, label="judge")
    every = max(1, -(-table.height // 12))
    shown = places[::every]
    months = table["month"].dt.strftime("%Y-%m")
    axes.set_xticks(shown, months[::every], rotation=45, ha="right")
    # Months without a tick have a name as well.
    axes.xaxis.set_major_formatter(lambda place, _: months[round(place)])
    most = int((table["learned"] + table["judged"]).to_numpy().max())
    axes.set(title="Rows by month", ylabel="rows", ylim=(0, 1.2 * most))  # with room for the legend
    axes.legend(frameon=False, ncols=2, loc="upper left")


def svg(
    draw: Callable[[Axes, pl.DataFrame], None],
    table: pl.DataFrame,
    height: float = HEIGHT,
    *,
    what: str,
    is_file: bool = False,
) -> str:
    """Draw one plot; return it as an SVG element with the name `what`, in the colours of its page.

    Args:
        is_file: whether it is shown by itself, where no page says what its colours are.
    """
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(5.2, height))
        draw(axes, table)
        text = StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
        marks = Markup("").join(map(outlines, figure.axes))
        plt.close(figure)
    document = text.getvalue()
    for colour, name in () if is_file else NAMED.items():
        document = document.replace(f": {colour}", f": {name}")
    named = Markup('<svg role="img" aria-label="{}"').format(what)
    inside = document[document.index("<svg") + len("<svg") : document.rindex("</svg>")]
    return f"{named}{inside}{marks}\n</svg>\n"


FEW = 12  # classes that a plot can tell apart; of more the most frequent ones are drawn


def confusion(truth: np.ndarray, predicted: np.ndarray, names: list[str]) -> pl.DataFrame:
    """Count rows by class and most probable class: actual, predicted, rows."""
    counts = confusion_matrix(truth, predicted.argmax(axis=1), labels=range(len(names)))
    pairs = np.ndindex(*counts.shape)
    cells = [(names[row], names[column], int(counts[row, column])) for row, column in pairs]
    return pl.DataFrame(cells, schema=["actual", "predicted", "rows"], orient="row")


def by_class(truth: np.ndarray, predicted: np.ndarray, names: list[str]) -> pl.DataFrame:
    """Compute each class's precision (null if never predicted) and recall (null without rows)."""
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


def calibration_by_class(
    truth: np.ndarray, predicted: np.ndarray, names: list[str]
) -> pl.DataFrame:
    """Compute the bins of calibration() for each class that has rows and is not the only one."""
    tables = [
        calibration(truth == code, predicted[:, code]).select(pl.lit(name).alias("class"), pl.all())
        for code, name in enumerate(names)
        if 0 < (truth == code).sum() < len(truth)
    ]
    return pl.concat(tables) if tables else pl.DataFrame(schema={"class": pl.String} | CALIBRATION)


def draw_confusion(axes: Axes, table: pl.DataFrame) -> None:
    """Draw the share of each class that was taken for each: dark on the diagonal is right."""
    names = table["actual"].unique(maintain_order=True).to_list()
    counts = table["rows"].to_numpy().reshape(len(names), len(names))
    most = np.sort(np.argsort(-counts.sum(axis=1), kind="stable")[:FEW])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shares, counts = (each[np.ix_(most, most)] for each in (shares, counts))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, label="share of the actual class")
    for row, column in np.ndindex(*counts.shape):
        colour = "white" if shares[row, column] > 0.5 else "black"
        text = f"{counts[row, column]:,}"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    shown = [_label(names[code]) for code in most]
    axes.set_xticks(range(len(most)), shown, rotation=45, ha="right")
    axes.set_yticks(range(len(most)), shown)
    axes.set(title="Confusion matrix (rows)", xlabel="predicted", ylabel="actual")


def draw_by_class(axes: Axes, table: pl.DataFrame) -> None:
    """Draw precision and recall of each class, in the order of the confusion matrix."""
    top = table.filter(pl.col("rows").rank("ordinal", descending=True) <= FEW).reverse()
    places = np.arange(top.height)
    for offset, figure, colour in ((0.2, "precision", BLUE), (-0.2, "recall", ORANGE)):
        values = top[figure].fill_null(0)
        axes.barh(places + offset, values, height=0.38, color=colour, label=figure)
    axes.set_yticks(places, [_label(name) for name in top["class"]])
    axes.set(title="By class", xlim=(0, 1.02))
    axes.legend(**BESIDE_TITLE)


PANELS = 3  # in a row


def calibration_height(classes: int) -> float:
    """Return the height of draw_calibration_by_class(), in inches."""
    return 0.8 + 1.5 * math.ceil(min(classes, FEW) / PANELS)


def draw_calibration_by_class(axes: Axes, table: pl.DataFrame) -> None:
    """Draw a panel for each class, as their bars would hide each other: predicted against observed."""
    figure: Any = axes.get_figure()
    axes.remove()
    events = (pl.col("observed") * pl.col("rows")).sum()
    counts = table.group_by("class", maintain_order=True).agg(events)
    names = counts.filter(pl.col("observed").rank("ordinal", descending=True) <= FEW)["class"]
    rows = max(1, math.ceil(len(names) / PANELS))
    panels = figure.subplots(rows, PANELS, sharex=True, sharey=True, squeeze=False)
    for panel in panels.flat[len(names) :]:
        panel.remove()
    for at, (panel, name) in enumerate(zip(panels.flat, names, strict=False)):
        panel.plot([0, 1], [0, 1], **COMPARED)
        _draw_bins(panel, table.filter(pl.col("class") == name), _label(name), BLUE)
        panel.set_title(_label(name, 18), fontsize=9, fontweight="normal")
        panel.tick_params(labelbottom=at + PANELS >= len(names))
        panel.set(xlabel="predicted probability", ylabel="observed share", xticks=(0, 0.5, 1))
        for axis in (panel.xaxis, panel.yaxis):  # named once below, and in the words of each mark
            axis.label.set_visible(False)
    figure.get_layout_engine().set(wspace=0.1)
    title: Any = {"x": 0.02, "ha": "left", "fontweight": "bold"}
    figure.suptitle("Calibration by class; dashed: perfect", **title)
    figure.supxlabel("predicted probability", fontsize=10)
    figure.supylabel("observed share", fontsize=10)


MAX_SLICES = 20  # slices that a plot has room for; of more the largest ones are drawn


def rows_below(
    truth: np.ndarray, predicted: np.ndarray, quantiles: Sequence[float]
) -> pl.DataFrame:
    """Compute the share of rows at or below each quantile: quantile, observed."""
    observed = (truth[:, None] <= predicted).mean(axis=0)
    return pl.DataFrame({"quantile": list(quantiles), "observed": observed})


INSIDE, WIDTH = "is inside", "its width"  # no names of columns in Row


def interval_coverage(truth: np.ndarray, predicted: np.ndarray, rows: pl.DataFrame) -> pl.DataFrame:
    """Compute coverage and mean width of the interval, of all rows and of each slice with MIN_ROWS."""
    width = predicted[:, 2] - predicted[:, 0]
    table = slice_columns(rows).with_columns(
        pl.Series(INSIDE, inside(truth, predicted)), pl.Series(WIDTH, width)
    )
    figures = (
        pl.len().alias("rows"),
        pl.col(INSIDE).mean().alias("coverage"),
        pl.col(WIDTH).mean().alias("width"),
    )
    parts = [table.select(pl.lit("all rows").alias("slice"), *figures)]
    for name in table.columns[:-2]:
        shares = table.group_by(pl.col(name).alias("value of the slice")).agg(figures)
        values = shares["value of the slice"].to_list()
        order = sorted(range(len(values)), key=lambda row: sort_key(values[row]))
        named = pl.format("{} {}", pl.lit(name), "value of the slice").alias("slice")
        parts.append(shares[order].select(named, "rows", "coverage", "width"))
    return pl.concat(parts).filter(pl.col("rows") >= MIN_ROWS)


def draw_rows_below(axes: Axes, table: pl.DataFrame) -> None:
    """Draw the quantiles against the observed shares."""
    axes.plot([0, 1], [0, 1], **COMPARED, label="perfect")
    axes.plot(table["quantile"], table["observed"], color=BLUE, marker="o", label="model")
    axes.set(title="Quantiles", xlabel="predicted quantile", ylabel="share of rows below it")
    axes.legend(frameon=False)


def draw_interval_coverage(level: float) -> Callable[[Axes, pl.DataFrame], None]:
    """Return a function that draws the share of each slice beside the promised one."""

    def draw(axes: Axes, table: pl.DataFrame) -> None:
        most = table.with_row_index().sort("rows", descending=True).head(MAX_SLICES).sort("index")
        top = most.reverse()
        axes.axvline(level, **COMPARED, label=f"{level:.0%}")
        axes.plot(top["coverage"], np.arange(top.height), color=BLUE, marker="o", linestyle="")
        axes.set_yticks(range(top.height), [_label(name) for name in top["slice"]])
        axes.set(title="Rows inside the interval", xlabel="share", xlim=(0, 1.02))
        axes.legend(**BESIDE_TITLE)

    return draw
