"""A plot shows what the data says as text, whatever it says."""

import re
import warnings
from collections.abc import Callable
from datetime import date, datetime
from html import unescape

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
import pytest
from matplotlib.axes import Axes

from rung_ops.project.paths import params
from rung_ops.training import plots


def slices(column: str, values: list[str], figures: list[float]) -> pl.DataFrame:
    """Make slices as with_intervals() does, of the metric of this project; the last has no interval."""
    metric = params()["score"]["metric"]
    table = {"column": [column] * len(values), "value": values, "rows": [30] * len(values)}
    reach = [0.1] * (len(values) - 1) + [None]
    return pl.DataFrame(table | {metric: figures, "low": reach, "high": reach}).with_columns(
        low=pl.col(metric) - pl.col("low"), high=pl.col(metric) + pl.col("high")
    )


@pytest.mark.parametrize("value", [r"$\\frac$", "$5-$10", "red\x1b[31m", "line\nbreak", ""])
def test_any_category_can_be_drawn(value: str) -> None:
    table = slices("a", [value], [0.7])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = plots.svg(plots.draw_by_slice(table, 0.7), table, what="slices")

    assert "<svg" in unescape(drawn)


def drawn(table: pl.DataFrame, all_of_them: pl.DataFrame) -> Axes:
    axes = plt.figure().add_subplot()
    plots.draw_by_slice(all_of_them, 0.65)(axes, table)
    return axes


def test_the_worst_slice_is_at_the_top_and_all_columns_have_one_axis() -> None:
    first, second = (
        slices("a", ["x", "y", "z"], [0.6, 0.5, 0.7]),
        slices("b", ["u", "v"], [0.9, 0.6]),
    )
    both = pl.concat([first, second])

    axes = drawn(first, both), drawn(second, both)

    labels = [[label.get_text() for label in each.get_yticklabels()] for each in axes]
    assert labels[0] == ["z (30)", "x (30)", "y (30)"]  # from the bottom
    assert axes[0].get_xlim() == axes[1].get_xlim()
    low, high = axes[0].get_xlim()
    assert low < 0.4 and high > 1.0  # no interval is cut


def test_months_keep_their_order() -> None:
    table = slices("month", ["2026-01", "2026-02"], [0.9, 0.5])

    labels = [label.get_text() for label in drawn(table, table).get_yticklabels()]

    assert labels == ["2026-02 (30)", "2026-01 (30)"]


def test_the_time_line_names_every_month_even_without_rows() -> None:
    learned = pl.Series([date(2026, 1, 3), date(2026, 1, 9), None])
    judged = pl.Series([date(2026, 3, 1)])

    table = plots.rows_by_month(learned, judged)

    assert table.rows() == [
        (date(2026, 1, 1), 2, 0),
        (date(2026, 2, 1), 0, 0),
        (date(2026, 3, 1), 0, 1),
    ]


def of_slices(axes: Axes, table: pl.DataFrame) -> None:
    plots.draw_by_slice(table, 0.65)(axes, table)


MONTHS = plots.rows_by_month(pl.Series([date(2026, 1, 3)]), pl.Series([date(2026, 3, 1)] * 3))


# What a project's hooks may draw, with the values that can be read from it.
HOOKS: list[tuple[Callable[[Axes], object], list[str]]] = [
    (lambda axes: axes.imshow(np.zeros((2, 2, 3))), []),
    (lambda axes: axes.imshow([[0.0, 1.0]], extent=(10, 30, 0, 5)), []),
    (lambda axes: axes.imshow(np.zeros((60, 60))), []),  # too many to be read
    (lambda axes: [axes.plot(range(100)) for _ in range(30)], []),
    (lambda axes: axes.errorbar([1], [2]), ["1, 2"]),
    (lambda axes: axes.errorbar([1, 2], [3, 4], yerr=1, errorevery=2), ["1, 3", "2, 4"]),
    (
        lambda axes: axes.errorbar([1, 2], [3, 4], yerr=[[np.nan, 1], [1, 1]], capsize=3),
        ["1, 3", "2, 4 (3 to 5)"],
    ),
    (lambda axes: (axes.plot([0]), axes.xaxis.set_major_formatter(lambda _, at: f"{at + 1}")), []),
    (lambda axes: (axes.bar(["a", "b"], [10, np.nan]), axes.set_yscale("log")), ["a, 10"]),
    (lambda axes: (axes.plot([0.4], [20]), axes.loglog()), ["0.4, 20"]),
    (lambda axes: (axes.plot([0.4, 9], [1, 1]), axes.set_xticks([0, 9], "ab")), ["0.4, 1", "b, 1"]),
    (lambda axes: (axes.axvline(0.5), axes.axhline(0.5), axes.axline((0, 0), slope=1)), []),
    (lambda axes: axes.scatter([0.5], [0.5], transform=axes.transAxes), []),
    (lambda axes: axes.scatter(np.ma.masked_equal([1, 2], 2), [3, 4]), ["1, 3"]),
    (lambda axes: (axes.plot([1, 9], [2, 2]), axes.set_xlim(0, 2)), ["1, 2"]),  # 9 is not seen
]


@pytest.mark.parametrize(
    ("draw", "table", "values"),
    [
        (
            of_slices,
            slices("month", ["x", "<y>"], [0.6, 0.5]),
            ["x (30), {metric} 0.6 (0.5 to 0.7)", "&lt;y&gt; (30), {metric} 0.5"],
        ),
        (
            plots.draw_importances,
            pl.DataFrame(
                {
                    "feature": ["a", "b"],
                    "importance": [2, 1],
                    "low": [1.5, None],
                    "high": [2.5, None],
                }
            ),
            [
                "a, loss of {metric} when shuffled 2 (1.5 to 2.5)",
                "b, loss of {metric} when shuffled 1",
            ],
        ),
        (
            plots.draw_by_class,
            pl.DataFrame({"class": ["a"], "rows": [9], "precision": [0.8], "recall": [0.7]}),
            ["precision: a, 0.8", "recall: a, 0.7"],
        ),
        (
            plots.draw_rows_by_month,
            MONTHS,
            [
                *("learned from: 2026-01, rows 1", "learned from: 2026-02, rows 0"),
                *("learned from: 2026-03, rows 0", "judge: 2026-01, rows 0"),
                *("judge: 2026-02, rows 0", "judge: 2026-03, rows 3"),
            ],
        ),
        (
            plots.draw_calibration,
            plots.calibration(np.tile([1, 0, 0, 0], 25), np.array([0.25] * 100)),
            [
                "model, 100 rows: predicted probability 0.25, observed share 0.25 "
                "(0.1755 to 0.343)"  # 95 % by Wilson
            ],
        ),
        (
            plots.draw_calibration_by_class,
            plots.calibration_by_class(np.arange(2), np.eye(2), ["b", "c"]),
            [
                f"{name}, 1 row: predicted probability {share}, observed share {share} {ends}"
                for name in "bc"
                for share, ends in ((0, "(0 to 0.7935)"), (1, "(0.2065 to 1)"))
            ],
        ),
        (
            plots.draw_residuals_over_time,
            pl.DataFrame(
                {"time": [date(2026, 3, 1)], "residual": [-2.0], "p10": [-3.0], "p90": [1.0]}
            ),
            ["2026-03-01, actual minus predicted -2"],
        ),
        (
            lambda axes, table: axes.plot(table["at"], [1, 2]),
            pl.DataFrame({"at": [datetime(2026, 3, 1), datetime(2026, 3, 1, 6)]}),
            ["2026-03-01, 1", "2026-03-01 06:00, 2"],
        ),
        (
            plots.draw_residuals,
            pl.DataFrame({"predicted": [4.0], "residual": [1_234.0]}),
            ["predicted 4, actual minus predicted 1,234"],
        ),
        (
            plots.draw_confusion,
            plots.confusion(np.array([0, 1]), np.eye(2)[[0, 0]], ["b", "c"]),
            [
                f"actual {actual}, predicted {predicted}, share of the actual class: {share}"
                for actual in "bc"
                for predicted, share in (("b", 1), ("c", 0))
            ],
        ),
        (
            lambda axes, table: axes.hist(table["x"], bins=1),  # as a hook may draw it
            pl.DataFrame({"x": [0.0, 1.0, 2.0]}),
            ["0 to 2, 3"],
        ),
        *(
            (lambda axes, _, hook=hook: hook(axes), pl.DataFrame(), values)
            for hook, values in HOOKS
        ),
    ],
)
def test_each_mark_has_its_values(
    draw: Callable[[Axes, pl.DataFrame], None], table: pl.DataFrame, values: list[str]
) -> None:
    metric = params()["score"]["metric"]

    document = plots.svg(draw, table, what="It's <ours>")

    assert [text.format(metric=metric) for text in values] == re.findall(
        "<title>(.*?)</title>", document
    )
    assert 'aria-label="It&#39;s &lt;ours&gt;"' in document
    assert '="nan"' not in document
    heights = map(float, re.findall(r'height="(.*?)"><title>', document))
    assert max(heights, default=0) < 400  # pixels: none reaches beyond its plot


def test_no_class_hides_another_ones_calibration() -> None:
    truth, predicted = np.tile([0, 1], 50), np.full((100, 2), 0.5)
    table = plots.calibration_by_class(truth, predicted, ["b", "c"])

    document = plots.svg(plots.draw_calibration_by_class, table, what="calibration")

    shapes = re.findall(r'<rect x="([\d.]+)" y="([\d.]+)" [^>]*><title>([bc]),', document)
    (of_b, height, b), (of_c, same_height, c) = shapes
    assert (b, c, height) == ("b", "c", same_height)
    assert float(of_c) - float(of_b) > 100


def test_classes_are_drawn_in_their_order_and_of_many_the_most_frequent() -> None:
    names = [f"class {number:02}" for number in range(plots.FEW + 1)]
    rows = np.array([2, 1, *[3] * (plots.FEW - 1)])
    truth = np.repeat(np.arange(len(names)), rows)
    predicted = np.eye(len(names))[truth]
    shown = [name for name in names if name != "class 01"]
    drawn: dict[str, list[str]] = {}
    for draw, table in (
        (plots.draw_by_class, plots.by_class(truth, predicted, names)),
        (plots.draw_calibration_by_class, plots.calibration_by_class(truth, predicted, names)),
        (plots.draw_confusion, plots.confusion(truth, predicted, names)),
    ):
        document = plots.svg(draw, table, what="classes")
        titles = re.findall("<title>(.*?)</title>", document)
        drawn[draw.__name__] = list(dict.fromkeys(re.findall(r"class \d\d", " ".join(titles))))

    assert drawn == dict.fromkeys(drawn, shown)


def test_a_plot_in_a_file_has_colours_of_its_own() -> None:
    table = pl.DataFrame({"x": [0, 1]})

    def draw(axes: Axes, table: pl.DataFrame) -> None:
        axes.bar([0, 1], table["x"], color=plots.BLUE)

    assert "fill: var(--blue)" in plots.svg(draw, table, what="bars")
    in_file = plots.svg(draw, table, what="bars", is_file=True)
    assert f"fill: {plots.BLUE}" in in_file and "var(" not in in_file


def test_a_mark_lies_on_what_was_drawn() -> None:
    def draw(axes: Axes, table: pl.DataFrame) -> None:
        axes.barh(["a", "b"], [1, 2], color="#123456")

    document = plots.svg(draw, pl.DataFrame(), what="bars")

    bars = re.findall(r'd="M ([\d.]+) ([\d.]+) \nL ([\d.]+) [^"]*"[^>]*fill: #123456', document)
    shapes = re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)" [^>]*><title>', document)
    drawn_ends = [[float(left), float(right)] for left, _, right in reversed(bars)]
    assert drawn_ends == [
        pytest.approx([float(left), float(left) + float(width)], abs=0.2) for left, width in shapes
    ]
